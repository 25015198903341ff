"""``python -m training.starter.one_person``: which labels of the calibration's speech are one person twice.

The encoder that is calibrated only suspects pairs of labels. Another one, `training.starter.ge2e`, confirms
those that are as alike as the two halves of one label and more alike than other voices of one sex. Writes
the confirmed pairs to ``one_person.json`` and prints all that were suspected.
"""

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import librosa
import numpy as np
from numpy.typing import NDArray

from evaluation.manifest import read_manifest
from training.starter.gallery_calibration import (
    ONE_PERSON,
    SUSPECTED_COSINE,
    add_speech,
    likeness,
    read_pieces,
)
from training.starter.ge2e import Ge2eEncoder, without_pauses
from training.starter.voice_material import read_sentences
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

WITHIN_QUANTILE, OTHERS_QUANTILE = 0.05, 0.999
"""A confirmed pair is above this quantile of the halves of one label, and of the pairs of one sex that are
not suspected."""
PITCH_S = 10.0
"""Seconds of a label of which the pitch is measured."""
DECIMALS = 3


@dataclass(frozen=True, slots=True)
class Label:
    """What is known of the speech under one label of a source without the encoder that is calibrated."""

    name: str
    sex: str
    age: int | None
    halves: NDArray[np.float64]
    """(2, 256): vectors of length one of the first and of the second half of the speech."""
    pitch_hz: float
    """Median of the fundamental frequency where there is one."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a pair must exceed, as cosines of halves."""

    within: float
    others: float


@dataclass(frozen=True, slots=True)
class Pair:
    """Two labels that may be one person, with the evidence."""

    labels: tuple[str, str]
    cosine: float
    """Likeness of the labels to the encoder that is calibrated."""
    ge2e: float
    """Mean cosine of the halves of one with the halves of the other."""
    rank: int
    """Among all pairs of one sex; 1: no pair is more alike."""
    sexes: tuple[str, str]
    ages: tuple[int | None, int | None]
    pitch_hz: tuple[float, float]

    def confirmed(self, bounds: Bounds) -> bool:
        """Return whether the other encoder finds one person too, and the published sexes do not differ."""
        may_be_one = "" in self.sexes or self.sexes[0] == self.sexes[1]
        return may_be_one and self.ge2e > max(bounds.within, bounds.others)


def main() -> None:
    """Embed, judge, print and write."""
    parser = argparse.ArgumentParser(prog="python -m training.starter.one_person", description=__doc__)
    add_speech(parser)
    parser.add_argument("--weights", type=Path, required=True, help="pretrained.pt of Resemblyzer 0.1.4")
    parser.add_argument("--to", type=Path, default=ONE_PERSON)
    options = parser.parse_args()
    pieces = read_pieces(options)
    encoder = Ge2eEncoder(options.weights)
    rows = {}
    for source in SUSPECTED_COSINE:
        names, cosines = likeness(pieces.only(pieces.sources == source))
        labels = [label for label in read_labels(options.speech, source, encoder) if label.name in names]
        pairs, bounds = judge(labels, cosines, SUSPECTED_COSINE[source])
        print("\n".join(table(source, pairs, bounds)))
        rows[source] = as_row(pairs, bounds)
    options.to.write_text(written(rows))


def read_labels(folder: Path, source: str, encoder: Ge2eEncoder) -> Iterator[Label]:
    """Yield what is measured of each label of a source, in the order of their names.

    Args:
        folder: The folder with ``manifest.tsv``.
        source: Name of the source.
        encoder: Judges.
    """
    clips = [clip for clip in read_manifest(folder) if clip.source == source and clip.label == "real"]
    clips.sort(key=lambda clip: clip.voice)
    for (_, name), own in groupby(clips, key=lambda clip: clip.voice):
        sentences = list(read_sentences(folder, list(own)))
        first = sentences[0][0]
        joined = np.concatenate([samples for _, samples in sentences])
        halves = np.stack([encoder(half) for half in np.array_split(joined, 2)])
        yield Label(name, first.sex, first.age, halves, pitch_of(joined))


def pitch_of(samples: Waveform) -> float:
    """Return the median fundamental frequency in hertz of the first `PITCH_S` of speech."""
    spoken = without_pauses(samples)[: round(PITCH_S * SAMPLE_RATE_HZ)]
    found, _, _ = librosa.pyin(
        spoken, fmin=60, fmax=500, sr=SAMPLE_RATE_HZ, frame_length=1024, hop_length=320
    )
    return float(np.nanmedian(found))


def judge(labels: Sequence[Label], cosines: NDArray[np.float64], least: float) -> tuple[list[Pair], Bounds]:
    """Compare the pairs of a source that are suspected with all others.

    Args:
        labels: Of the source.
        cosines: Of the encoder that is calibrated, (labels, labels).
        least: From which cosine a pair is suspected.

    Returns:
        The suspected pairs, the most suspected first, and what they must exceed.
    """
    halves = np.stack([label.halves for label in labels])
    alike = np.einsum("iad,jbd->ij", halves, halves) / 4
    within = np.einsum("id,id->i", halves[:, 0], halves[:, 1])
    sexes = np.array([label.sex for label in labels])
    first, second = np.triu_indices(len(labels), 1)
    of_one_sex = sexes[first] == sexes[second]
    suspected = cosines[first, second] >= least
    found = alike[first, second]
    bounds = Bounds(
        float(np.quantile(within, WITHIN_QUANTILE)),
        float(np.quantile(found[of_one_sex & ~suspected], OTHERS_QUANTILE)),
    )
    pairs = []
    for index in np.flatnonzero(suspected).tolist():
        one, two = labels[first[index]], labels[second[index]]
        pair = Pair(
            (one.name, two.name), float(cosines[first[index], second[index]]), float(found[index]),
            int((found[of_one_sex] > found[index]).sum()) + 1,
            (one.sex, two.sex), (one.age, two.age), (one.pitch_hz, two.pitch_hz),
        )  # fmt: skip
        pairs.append(pair)
    return sorted(pairs, key=lambda pair: -pair.cosine), bounds


def table(source: str, pairs: Sequence[Pair], bounds: Bounds) -> Iterator[str]:
    """Yield the lines of a table of all suspected pairs of a source."""
    confirmed = sum(pair.confirmed(bounds) for pair in pairs)
    yield f"{source}: {confirmed} of {len(pairs)} confirmed; bounds {bounds.within:.3f}, {bounds.others:.3f}"
    yield "| labels | cosine | GE2E | rank in its sex | sex | ages | Hz | confirmed |"
    yield "|---|---|---|---|---|---|---|---|"
    for pair in pairs:
        pitch = " ".join(f"{each:.0f}" for each in pair.pitch_hz)
        ages = " ".join("?" if age is None else str(age) for age in pair.ages)
        cells = (
            " ".join(pair.labels), f"{pair.cosine:.3f}", f"{pair.ge2e:.3f}", str(pair.rank),
            " ".join(pair.sexes), ages, pitch, "yes" if pair.confirmed(bounds) else "no",
        )  # fmt: skip
        yield f"| {' | '.join(cells)} |"


def as_row(pairs: Sequence[Pair], bounds: Bounds) -> Mapping[str, object]:
    """Return what is written of a source: its bounds and its confirmed pairs."""
    return {
        "within": round(bounds.within, DECIMALS),
        "others": round(bounds.others, DECIMALS),
        "pairs": [
            {
                "labels": pair.labels,
                "cosine": round(pair.cosine, DECIMALS),
                "ge2e": round(pair.ge2e, DECIMALS),
                "rank": pair.rank,
                "sexes": pair.sexes,
                "ages": pair.ages,
                "pitch_hz": [round(each) for each in pair.pitch_hz],
            }
            for pair in pairs
            if pair.confirmed(bounds)
        ],
    }


def written(rows: Mapping[str, Mapping[str, object]]) -> str:
    """Return JSON with one line for each pair."""
    text = json.dumps(rows, indent=1)
    pairs = re.compile(r"^   \{\n.*?^   \}", re.DOTALL | re.MULTILINE)
    return pairs.sub(lambda found: "   " + json.dumps(json.loads(found[0])), text) + "\n"


if __name__ == "__main__":
    main()
