"""``python -m training.starter.speaker_figures``: measure the starter's speaker encoder on real speech.

The folder contains a ``manifest.tsv`` with a line for each clip: file, start and duration, source, speaker,
sex and age.
"""

import argparse
import csv
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from config.settings import STARTER, AudioLimits, CheckpointSource, EngineOptions, Size
from pipelines.audio.decoding import decode
from pipelines.checkpoints import locate
from pipelines.speaker_campplus import CamPlusPlusEncoder
from training.starter.verification import Pairs, Trials, equal_error_rate, interval, min_dcf
from voxgraph.options import ModelKey
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

CLIPS_A_SPEAKER = 8
ADULT_AGE, TEEN_AGE = 18, 13
FALSE_MATCHES = 0.01

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


GROUPS = (
    Group("speechocean762, adults", "speechocean762", 3.0, (ADULT_AGE, 200)),
    Group("speechocean762, under 13", "speechocean762", 3.0, (0, TEEN_AGE)),
    Group("Duke, digits and letters", "duke", 3.0),
    Group("EmoDB, acted emotions", "emodb", 2.0),
)


def main() -> None:
    """Print a table with the figures of each group."""
    parser = argparse.ArgumentParser(prog="python -m training.starter.speaker_figures", description=__doc__)
    parser.add_argument("--speech", type=Path, required=True, help="a folder with manifest.tsv")
    parser.add_argument("--checkpoint", default=STARTER, help="starter, or a folder in its layout")
    parser.add_argument("--engine", default="auto", choices=("auto", "torch", "openvino"))
    parser.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    source = CheckpointSource(source=options.checkpoint, size=Size.STARTER)
    engine = EngineOptions(engine=options.engine, precision=options.precision)
    encoder = CamPlusPlusEncoder(locate(ModelKey.SPEAKER_VOXCELEB, source), "cpu", engine)
    with (options.speech / "manifest.tsv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    table = Table("group", "voices / clips", "EER", "95 %", "EER, same sex", "minDCF", "95 %", "1 % false at")
    for group in GROUPS:
        chosen = chosen_rows(rows, group)
        vectors = np.stack([encoder([clip])[0].vector for clip in clips(options.speech, chosen, group)])
        table.add_row(group.name, *figures(vectors, chosen), end_section=True)
    Console(width=140).print(table, encoder.info.engine, encoder.info.precision)


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


def figures(vectors: NDArray[np.float32], rows: Sequence[Row]) -> list[str]:
    """Return the cells of a group's line."""
    voices = np.unique([row["speaker"] for row in rows], return_inverse=True)[1]
    pairs = Pairs.of(vectors, voices)
    trials = Trials(pairs.same, pairs.scores)
    sexes = np.array([row["sex"] for row in rows])
    first, second = np.triu_indices(len(rows), 1)
    alike = sexes[first] == sexes[second]
    within = Trials(pairs.same[alike], pairs.scores[alike])
    return [
        f"{voices.max() + 1} / {len(rows)}",
        f"{equal_error_rate(trials.rates()):.4f}",
        interval_text(pairs, equal_error_rate),
        f"{equal_error_rate(within.rates()):.4f}",
        f"{min_dcf(trials.rates()):.3f}",
        interval_text(pairs, min_dcf),
        f"{trials.threshold(FALSE_MATCHES):.3f}",
    ]


def interval_text(pairs: Pairs, statistic: Callable[..., float]) -> str:
    """Return both ends of the bootstrap interval as text."""
    return " to ".join(f"{end:.4f}" for end in interval(pairs, statistic))


if __name__ == "__main__":
    main()
