"""``python -m training.starter.speaker_calibration``: calibrate the starter's speaker encoder on real speech.

A logistic regression on the cosines of pairs gives the log-likelihood ratio of one speaker against two. Each
group of recordings has the same weight, and within a group each of the two kinds of pairs half of it, so that
the prior of the fit is even. The table shows what a fit without the sources of a group gives there.
"""

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression

from config.settings import STARTER, AudioLimits, CheckpointSource, Size
from evaluation.metrics.verification import Pairs
from gallery.likelihood import MinCllr, cllr
from pipelines.audio.decoding import decode
from pipelines.calibrations import CALIBRATION, SAME_SPEAKER
from pipelines.checkpoints import STARTER_FOLDER, locate
from pipelines.speaker_campplus import CamPlusPlusEncoder
from voxgraph.calibration import SpeakerCalibration
from voxgraph.options import ModelKey
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

CLIPS_A_SPEAKER = 8
ADULT_AGE, TEEN_AGE = 18, 13
DECIMALS = 2

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Group:
    """Recordings that are compared with each other, all cut to the same length."""

    name: str
    source: str
    seconds: float
    """Length of the clips; shorter ones are left out, longer ones are cut."""
    ages: tuple[int, int] | None = None
    """Lowest age, and the age below which speakers must be. None: any, also an unknown one."""

    def has(self, row: Row) -> bool:
        """Whether a line of the manifest belongs to the group."""
        if row["source"] != self.source or float(row["duration_s"]) < self.seconds:
            return False
        return self.ages is None or self.ages[0] <= int(row["age"] or -1) < self.ages[1]


FITTED = (
    Group("speechocean762, adults", "speechocean762", 3.0, (ADULT_AGE, 200)),
    Group("speechocean762, 13 to 17", "speechocean762", 3.0, (TEEN_AGE, ADULT_AGE)),
    Group("speechocean762, under 13", "speechocean762", 3.0, (0, TEEN_AGE)),
    Group("Duke, digits and letters", "duke", 3.0),
)
"""Groups of the fit."""
MEASURED = Group("EmoDB, acted emotions", "emodb", 2.0)
"""Only measured: its clips are shorter, and its emotions acted."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The pairs of one group."""

    group: Group
    pairs: Pairs


def main() -> None:
    """Fit, print the table, and write the parameters."""
    parser = argparse.ArgumentParser(
        prog="python -m training.starter.speaker_calibration", description=__doc__
    )
    parser.add_argument("--speech", type=Path, required=True, help="a folder with manifest.tsv")
    parser.add_argument("--to", type=Path, default=STARTER_FOLDER / "speaker" / CALIBRATION)
    options = parser.parse_args()
    torch.set_num_threads(1)
    source = CheckpointSource(source=STARTER, size=Size.STARTER)
    encoder = CamPlusPlusEncoder(locate(ModelKey.SPEAKER_VOXCELEB, source), "cpu")
    rows = read_rows(options.speech)
    measured = []
    for group in (*FITTED, MEASURED):
        chosen = chosen_rows(rows, group)
        vectors = np.stack([encoder([clip])[0].vector for clip in clips(options.speech, chosen, group)])
        voices = np.unique([row["speaker"] for row in chosen], return_inverse=True)[1]
        measured.append(Measured(group, Pairs.of(vectors, voices)))
    report(measured, options.to)


def report(measured: Sequence[Measured], to: Path) -> None:
    """Fit on the groups of `FITTED`, print what it gives for all, and write the parameters."""
    fitted = [one for one in measured if one.group in FITTED]
    calibration = fit([one.pairs for one in fitted])
    columns = ("group", "Cllr", "without its source", "least Cllr", "cosine as llr", "missed", "false")
    table = Table(*columns, title=str(calibration))
    for one in measured:
        others = [other.pairs for other in fitted if other.group.source != one.group.source]
        scores, same = one.pairs.scores, one.pairs.same
        ratios = llrs(calibration, one.pairs)
        cells = (
            cllr(ratios, same), cllr(llrs(fit(others), one.pairs), same), MinCllr(scores, same).cost(),
            cllr(scores, same), (ratios[same] <= 0).mean(), (ratios[~same] > 0).mean(),
        )  # fmt: skip
        table.add_row(one.group.name, *(f"{cell:.3f}" for cell in cells))
    Console(width=140).print(table, f"threshold {calibration.threshold:.3f}")
    to.write_text(json.dumps({SAME_SPEAKER: parameters(calibration)}, indent=2) + "\n")


def read_rows(folder: Path) -> list[Row]:
    """Return the lines of the manifest."""
    with (folder / "manifest.tsv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def chosen_rows(rows: Sequence[Row], group: Group) -> list[Row]:
    """Return the first `CLIPS_A_SPEAKER` clips of each speaker, in the order of their files."""
    by_speaker: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if group.has(row):
            by_speaker[row["speaker"]].append(row)
    chosen = [row for of_one in by_speaker.values() for row in of_one[:CLIPS_A_SPEAKER]]
    return sorted(chosen, key=lambda row: row["file"])


def clips(folder: Path, rows: Sequence[Row], group: Group) -> Iterator[Waveform]:
    """Yield the samples of each line; lines of one file are adjacent, so that it is decoded once."""
    name, recording = "", np.zeros(0, np.float32)
    for row in rows:
        if row["file"] != name:
            name, recording = row["file"], decode((folder / row["file"]).read_bytes(), AudioLimits())
        start = round(float(row["start_s"]) * SAMPLE_RATE_HZ)
        yield recording[start : start + round(group.seconds * SAMPLE_RATE_HZ)]


def fit(groups: Sequence[Pairs]) -> SpeakerCalibration:
    """Fit the logistic calibration, each group with the same weight."""
    scores = np.concatenate([pairs.scores for pairs in groups])
    same = np.concatenate([pairs.same for pairs in groups])
    weights = np.concatenate([np.where(p.same, 1 / p.same.sum(), 1 / (~p.same).sum()) for p in groups])
    # Next to no regularisation; the weights sum to the number of pairs, as the penalty expects.
    model = LogisticRegression(C=1e6, tol=1e-8, max_iter=1000)
    model.fit(scores[:, np.newaxis], same, sample_weight=weights * len(scores) / weights.sum())
    return SpeakerCalibration(
        round(float(model.coef_[0, 0]), DECIMALS), round(float(model.intercept_[0]), DECIMALS)
    )


def llrs(calibration: SpeakerCalibration, pairs: Pairs) -> np.ndarray:
    """Return the log-likelihood ratio of each pair, (pairs,)."""
    return calibration.slope * pairs.scores + calibration.intercept


def parameters(calibration: SpeakerCalibration) -> dict[str, float]:
    """Return the object of the file."""
    return {"slope": calibration.slope, "intercept": calibration.intercept}


if __name__ == "__main__":
    main()
