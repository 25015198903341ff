"""``python -m training.starter.gallery_calibration``: calibrate decisions about enrolled speakers.

Fits the ratio of `gallery.calibration` on profiles of 5, 10 and 20 s and probes of 3, 6 and 12 s of real
speech, each group of recordings with the same weight, and writes it to ``gallery/shipped.json``.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import gallery.calibration
from gallery.calibration import SHIPPED, Calibration, Trials, fit
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


def main() -> None:
    """Embed or read the pieces, fit, print and write."""
    parser = argparse.ArgumentParser(
        prog="python -m training.starter.gallery_calibration", description=__doc__
    )
    add_speech(parser)
    parser.add_argument("--to", type=Path, default=Path(gallery.calibration.__file__).with_name(SHIPPED))
    options = parser.parse_args()
    pieces = read_pieces(options)
    calibration = fit_groups([trials(group) for group in groups(pieces).values()], SOURCES)
    model, revision = pieces.space
    row = {"model": str(model), "revision": str(revision), "calibration": calibration.as_dict()}
    options.to.write_text(json.dumps([row], indent=2) + "\n")
    print(options.to.read_text())


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
    left_out: NDArray[np.bool_] | None = None,
) -> Trials:
    """Compare all profiles with all probes of a group.

    Args:
        pieces: Of one group.
        enrol_s: Seconds of each profile.
        test_s: Seconds of each probe.
        left_out: Pairs of labels that are not compared, (speakers, speakers); without it, all of `suspected`,
            since a fit on them would learn from labels that are doubtful either way.
    """
    names, owners = np.unique(pieces.speakers, return_inverse=True)
    probes = np.flatnonzero((pieces.kinds == PROBE) & np.isin(pieces.lengths_s, test_s))
    unknown = suspected(pieces) if left_out is None else left_out
    parts = []
    for seconds in enrol_s:
        found = [(i, profile(pieces.only(owners == i), seconds)) for i in range(len(names))]
        enrolled = [(i, each) for i, each in found if each is not None]
        if not enrolled:
            continue
        claimed = np.array([i for i, _ in enrolled])
        cosines = np.stack([vector for _, (vector, _) in enrolled]) @ unit(pieces.vectors[probes]).T
        lengths = np.array([length for _, (_, length) in enrolled])
        rows, columns = np.nonzero(~unknown[claimed][:, owners[probes]])
        parts.append(
            Trials(
                cosines[rows, columns], claimed[rows] == owners[probes[columns]], lengths[rows],
                pieces.active_s[probes[columns]], claimed[rows], owners[probes[columns]],
            )
        )  # fmt: skip
    return Trials.joined(parts)


def likeness(pieces: Pieces) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
    """Return the labels of some pieces, ascending, and the cosines of the means of all pieces of two."""
    names, owners = np.unique(pieces.speakers, return_inverse=True)
    means = unit(np.stack([unit(pieces.vectors[owners == i]).mean(axis=0) for i in range(len(names))]))
    return names, np.asarray(means @ means.T, np.float64)


def suspected(pieces: Pieces) -> NDArray[np.bool_]:
    """Return which pairs of different labels of a source may be one person, (speakers, speakers)."""
    found = likeness(pieces)[1] >= SUSPECTED_COSINE.get(str(pieces.sources[0]), 2.0)
    np.fill_diagonal(found, False)
    return found


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
        Trials(p.cosines, p.is_target, p.enrol_s, p.test_s, p.claimed + start, p.actual + start)
        for p, start in zip(parts, offsets, strict=False)
    ]
    found = fit(Trials.joined(apart), " and ".join(sources), np.concatenate(weights))
    numbers = {name: round(getattr(found, name), DECIMALS) for name in ("score", "offset", "enrol", "test")}
    return Calibration(**{**found.as_dict(), **numbers})


if __name__ == "__main__":
    main()
