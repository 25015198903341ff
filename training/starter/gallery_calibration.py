"""``python -m training.starter.gallery_calibration``: calibrate decisions about enrolled speakers.

Fits the ratio of `gallery.calibration` on profiles of 5, 10 and 20 s and probes of 3, 6 and 12 s of real
speech, each source with the same weight, and writes it to ``gallery/shipped.json``; and, to
``gallery/cohort.safetensors``, the voices that stand beside those of a gallery in `gallery.crowd`.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

import gallery.calibration
from gallery.calibration import SHIPPED, Calibration, Trials, fit
from gallery.crowd import COHORT, cohort_name, crowds
from gallery.search import unit
from training.starter.voice_material import (
    ENROL_S,
    PROBE,
    PROBES_S,
    REFERENCE,
    REFERENCE_S,
    SHORT_REFERENCE,
    SHORT_REFERENCE_S,
    Pieces,
    embed_pieces,
)

SOURCES = ("speechocean762", "duke", "emodb")
SUSPECTED_COSINE = {"duke": 0.64, "speechocean762": 0.82}
"""Cosine of the means of all speech under two labels of a source from which they may be one person. Duke's
labels are responses to a survey: of the cosines of its 2,415 pairs one mode is near 0.2, another near 0.76,
and between them the fewest are from 0.64 to 0.68. Of speechocean762's 31,125 pairs 2 lie from 0.77 to 0.82
and 12 above it; the numbers of six of these are at most 2 apart."""
ONE_PERSON = Path(__file__).with_name("one_person.json")
"""The suspected pairs that another encoder confirms, by `training.starter.one_person`."""
ADULT_AGE = 18
DECIMALS = 3
GALLERY = 100
"""Speakers of a source, drawn at random, who are the crowd of its recordings: as many as a gallery has."""
COHORT_ROWS = 32
"""Groups of voices of a cohort."""
LEAST_VOICES = 2
"""Voices of a group of a cohort: no row is that of one person."""


Floats = NDArray[np.float64]


def main() -> None:
    """Embed or read the pieces, fit, print and write."""
    parser = argparse.ArgumentParser(
        prog="python -m training.starter.gallery_calibration", description=__doc__
    )
    add_speech(parser)
    parser.add_argument("--to", type=Path, default=Path(gallery.calibration.__file__).with_name(SHIPPED))
    options = parser.parse_args()
    pieces = read_pieces(options)
    calibration = fit_sources(pieces)
    model, revision = pieces.space
    row = {"model": str(model), "revision": str(revision), "calibration": calibration.as_dict()}
    options.to.write_text(json.dumps([row], indent=2) + "\n")
    print(options.to.read_text())
    rows = cohort(pieces).astype(np.float16)
    save_file({cohort_name(model, revision): rows}, options.to.with_name(COHORT))
    print(f"{len(rows)} rows in {COHORT}")


def add_speech(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the speech is."""
    parser.add_argument("--speech", type=Path, required=True, help="a folder with manifest.tsv")
    parser.add_argument("--pieces", type=Path, help="where embedded pieces are kept for the next run (.npz)")


def read_pieces(options: argparse.Namespace) -> Pieces:
    """Return the embedded pieces of `SOURCES`, from the file if there is one."""
    if options.pieces and options.pieces.exists():
        return Pieces.load(options.pieces)
    pieces = embed_pieces(options.speech, SOURCES)
    if options.pieces:
        pieces.save(options.pieces)
    return pieces


def groups(pieces: Pieces) -> dict[str, Pieces]:
    """Return the pieces of each group of recordings whose voices are compared with each other."""
    spoken = pieces.sources == "speechocean762"
    adult = pieces.ages >= ADULT_AGE
    return {
        "speechocean762, adults": pieces.only(spoken & adult),
        "speechocean762, under 18": pieces.only(spoken & ~adult),
        "Duke, digits and letters": pieces.only(pieces.sources == "duke"),
        "EmoDB, acted emotions": pieces.only(pieces.sources == "emodb"),
    }


def profile(pieces: Pieces, seconds: float) -> tuple[NDArray[np.float64], float] | None:
    """Return the mean unit vector of one speaker and its seconds; None: there is too little speech."""
    kind, each_s = (REFERENCE, REFERENCE_S) if seconds > SHORT_REFERENCE_S else (SHORT_REFERENCE, seconds)
    chosen = np.flatnonzero(pieces.kinds == kind)[: round(seconds / each_s)]
    if len(chosen) * each_s < seconds:
        return None
    return unit(unit(pieces.vectors[chosen]).mean(axis=0)), float(pieces.active_s[chosen].sum())


def trials(
    pieces: Pieces,
    enrol_s: Sequence[float] = (SHORT_REFERENCE_S, REFERENCE_S, ENROL_S),
    test_s: Sequence[float] = tuple(PROBES_S),
    beside: Floats | None = None,
) -> Trials:
    """Compare all profiles with all probes of a group, but those of two labels of one person.

    Args:
        pieces: Of one group.
        enrol_s: Seconds of each profile.
        test_s: Seconds of each probe.
        beside: The cohort, (voices, dimension), without voices of the group.
    """
    names, owners = np.unique(pieces.speakers, return_inverse=True)
    probes = np.flatnonzero((pieces.kinds == PROBE) & np.isin(pieces.lengths_s, test_s))
    same = same_person(pieces)
    near = probe_crowds(pieces, probes, same, beside)
    parts = []
    for seconds in enrol_s:
        found = [(i, profile(pieces.only(owners == i), seconds)) for i in range(len(names))]
        enrolled = [(i, each) for i, each in found if each is not None]
        if not enrolled:
            continue
        claimed = np.array([i for i, _ in enrolled])
        cosines = np.stack([vector for _, (vector, _) in enrolled]) @ unit(pieces.vectors[probes]).T
        lengths = np.array([length for _, (_, length) in enrolled])
        rows, columns = np.nonzero(~same[claimed][:, owners[probes]])
        parts.append(
            Trials(
                cosines[rows, columns], claimed[rows] == owners[probes[columns]], lengths[rows],
                pieces.active_s[probes[columns]], claimed[rows], owners[probes[columns]],
                near[columns, claimed[rows]],
            )
        )  # fmt: skip
    return Trials.joined(parts)


def probe_crowds(
    pieces: Pieces, probes: NDArray[np.intp], same: NDArray[np.bool_], beside: Floats | None
) -> Floats:
    """Return the crowd of each probe for each speaker of a group, (probes, speakers).

    The crowd is a gallery of at most `GALLERY` speakers, each with the longest profile there is, who are
    neither the probe's speaker nor the one who is compared with it.

    Args:
        pieces: Of one group.
        probes: Indices of the probes.
        same: Which pairs of labels are one person, (speakers, speakers).
        beside: The cohort.
    """
    names, owners = np.unique(pieces.speakers, return_inverse=True)
    drawn = np.sort(np.random.default_rng(0).permutation(len(names))[:GALLERY])
    heard = unit(pieces.vectors[probes])
    members = heard @ unit(np.stack([_longest(pieces.only(owners == i)) for i in drawn])).T
    to_cohort = heard @ beside.T if beside is not None else np.zeros((len(probes), 0))
    found = np.empty((len(probes), len(names)))
    for row, owner in enumerate(owners[probes]):
        others = (drawn != owner) & ~same[owner, drawn]
        cosines = members[row, others]
        # Who is no member has all of them for a crowd.
        found[row] = crowds(np.full(1, -1.0), np.concatenate([cosines, to_cohort[row]]))
        found[row, drawn[others]] = crowds(cosines, to_cohort[row])
    return found


def _longest(pieces: Pieces) -> Floats:
    """Return the mean of one speaker's references of `REFERENCE_S`, or of the short one."""
    kind = REFERENCE if (pieces.kinds == REFERENCE).any() else SHORT_REFERENCE
    mean: Floats = unit(pieces.vectors[pieces.kinds == kind]).mean(axis=0)
    return mean


def cohort(pieces: Pieces) -> Floats:
    """Return the means of groups of similar voices, unit vectors, (at most `COHORT_ROWS`, dimension).

    Each voice is the mean of all its pieces; k-means joins them, and a group of fewer than `LEAST_VOICES`
    goes to the nearest other one.
    """
    # Slow to import, and only needed here.
    from sklearn.cluster import KMeans

    labels = np.char.add(np.char.add(pieces.sources, "/"), pieces.speakers)
    voices = unit(
        np.stack([unit(pieces.vectors[labels == label]).mean(axis=0) for label in np.unique(labels)])
    )
    most = min(COHORT_ROWS, len(voices) // LEAST_VOICES)
    group = KMeans(most, n_init=3, random_state=0).fit_predict(voices)
    while True:
        numbers, sizes = np.unique(group, return_counts=True)
        means = unit(np.stack([voices[group == number].mean(axis=0) for number in numbers]))
        small = int(sizes.argmin())
        if sizes[small] >= LEAST_VOICES or len(numbers) == 1:
            return means
        nearest = np.delete(means @ means[small], small).argmax()
        group[group == numbers[small]] = np.delete(numbers, small)[nearest]


def likeness(pieces: Pieces) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
    """Return the labels of some pieces, ascending, and the cosines of the means of all pieces of two."""
    names, owners = np.unique(pieces.speakers, return_inverse=True)
    means = unit(np.stack([unit(pieces.vectors[owners == i]).mean(axis=0) for i in range(len(names))]))
    return names, np.asarray(means @ means.T, np.float64)


def same_person(pieces: Pieces) -> NDArray[np.bool_]:
    """Return which pairs of different labels are confirmed to be one person, (speakers, speakers)."""
    names = {name: i for i, name in enumerate(np.unique(pieces.speakers).tolist())}
    found = np.zeros((len(names), len(names)), bool)
    for pair in json.loads(ONE_PERSON.read_text()).get(str(pieces.sources[0]), {"pairs": []})["pairs"]:
        first, second = (names.get(label) for label in pair["labels"])
        if first is not None and second is not None:
            found[first, second] = found[second, first] = True
    return found


def fit_groups(parts: Sequence[Trials], sources: Sequence[str]) -> Calibration:
    """Fit on several groups, each with the same weight."""
    weights = [np.where(part.is_target, 1 / part.targets, 1 / part.impostors) for part in parts]
    offsets = np.cumsum([0, *(int(max(part.claimed.max(), part.actual.max())) + 1 for part in parts)])
    apart = [
        replace(p, claimed=p.claimed + start, actual=p.actual + start)
        for p, start in zip(parts, offsets, strict=False)
    ]
    found = fit(Trials.joined(apart), " and ".join(sources), np.concatenate(weights))
    names = ("score", "offset", "enrol", "test", "crowd", "usual")
    numbers = {name: round(getattr(found, name), DECIMALS) for name in names}
    return Calibration(**{**found.as_dict(), **numbers, "cohort": True})


def fit_sources(pieces: Pieces) -> Calibration:
    """Fit on all sources of some pieces; the cohort of each are the voices of the others."""
    sources = [name for name in SOURCES if (pieces.sources == name).any()]
    parts = []
    for source in sources:
        own = pieces.sources == source
        parts.append(trials(pieces.only(own), beside=cohort(pieces.only(~own))))
    return fit_groups(parts, sources)


if __name__ == "__main__":
    main()
