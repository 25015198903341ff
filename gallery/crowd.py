"""How near a recording is to everybody else: the crowd from which a speaker must stand out.

The cosines of some voices are high to many others: children, say, are more alike than adults to the starter's
encoder. What counts is then how far a speaker is ahead of the rest. The crowd of a speaker is the mean
similarity of the recording to the `CROWD` nearest other speakers of the gallery, as in adaptive score
normalisation (Cumani et al., Comparison of Speaker Recognition Approaches for Real Applications, Interspeech
2011; Matějka et al., Analysis of Score Normalization in Multilingual Speaker Recognition, Interspeech 2017),
and the calibration has a weight for it. The gallery is its own cohort, since no other one is of its kind;
where it is small, the means of groups of voices that come with an encoder stand beside it.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import as_file, files

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gallery.calibration import Calibration, fisher
from gallery.search import DECIMALS, Scores, unit
from voxgraph.ranking import largest
from voxgraph.results.gallery import Space

Floats = NDArray[np.float64]

CROWD = 9
"""Other speakers of whom the mean is taken."""
COHORT = "cohort.safetensors"


def crowds(cosines: ArrayLike, cohort: ArrayLike = (), usual: float | None = None) -> Floats:
    """Return, for each speaker, how near recordings are to the nearest others.

    Args:
        cosines: Of recordings to all speakers of a gallery, (..., speakers).
        cohort: Of the same recordings to voices that nobody is asked about, (..., voices).
        usual: What stands for each other speaker who is missing to `CROWD`; None: the mean is that of those
            who are there, and 0 of nobody.

    Returns:
        (..., speakers): the mean inverse hyperbolic tangent of the cosines to the `CROWD` nearest others.
    """
    asked = np.asarray(cosines, np.float64)
    beside = np.broadcast_to(cohort, (*asked.shape[:-1], np.shape(cohort)[-1]))
    count = min(CROWD, asked.shape[-1] + beside.shape[-1] - 1)
    if count < 1:
        return np.full(asked.shape, usual or 0.0)
    # One more than are counted, for the speakers who are among them.
    nearest = _nearest(np.concatenate([_nearest(asked, count + 1), beside], axis=-1), count + 1)
    similar = fisher(nearest)
    found = np.broadcast_to(similar[..., 1:].mean(axis=-1, keepdims=True), asked.shape).copy()
    among = asked >= nearest[..., 1:2]
    everybody = np.broadcast_to(similar.sum(axis=-1, keepdims=True), asked.shape)
    found[among] = (everybody[among] - fisher(asked[among])) / count
    if usual is not None and count < CROWD:
        found = (count * found + (CROWD - count) * usual) / CROWD
    return found


def _nearest(cosines: Floats, count: int) -> Floats:
    """Return the highest cosines along the last axis in ascending order, so that a sum has one order."""
    if cosines.ndim == 1:
        return cosines[largest(cosines, count)[::-1]]
    if count < cosines.shape[-1]:
        cosines = np.partition(cosines, -count, axis=-1)[..., -count:]
    return np.sort(cosines, axis=-1)


def crowded(scores: Scores, query: ArrayLike, calibration: Calibration, cohort: Floats) -> Scores:
    """Return the comparison of a recording with a gallery, with the crowd of each speaker.

    Args:
        scores: With all speakers who may be compared.
        query: The recording, (dim,), any length but 0.
        calibration: That decides; one that was fitted without crowds leaves the scores as they are.
        cohort: Unit vectors, (voices, dim); there may be none.
    """
    if not calibration.crowd:
        return scores
    beside = (cohort @ unit(query)).round(DECIMALS)
    return replace(scores, crowds=crowds(scores.scores, beside, calibration.usual))


def shipped_cohort(space: Space) -> Floats:
    """Return the cohort that comes with the encoder of a space: unit vectors, (voices, dim); or none."""
    found = _cohorts().get(cohort_name(space.model, space.revision))
    return np.zeros((0, space.dim)) if found is None else found


def cohort_name(model: str, revision: str) -> str:
    """Return the name of the tensor of an encoder's cohort."""
    return f"{model}@{revision}"


@cache
def _cohorts() -> Mapping[str, Floats]:
    from safetensors.numpy import load_file

    with as_file(files("gallery").joinpath(COHORT)) as path:
        return {name: unit(rows) for name, rows in load_file(path).items()}
