"""``python -m training.starter.language_calibration``: calibrate the language starter on real speech.

A bias by the hours of each language in Whisper's training set and a temperature turn the network's
log-probabilities into calibrated ones. Each language has the same weight in the fit and, within it, each
source. The table shows for each source what a fit without it gives there. `training.starter.short_language`
then fits the temperature of short clips, which is not in the file before.
"""

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from config.settings import STARTER, AudioLimits, CheckpointSource
from pipelines.audio.decoding import decode
from pipelines.calibrations import CALIBRATION
from pipelines.checkpoints import STARTER_FOLDER, locate
from pipelines.language_calibration import LANGUAGE
from pipelines.language_whisper import WhisperLanguageIdentifier
from pipelines.whisper_languages import service_languages
from voxgraph.options import ModelKey
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

HOURS = {
    "en": 438218, "zh": 23446, "de": 13344, "es": 11100, "ru": 9761, "fr": 9752, "pt": 8573, "ko": 7993,
    "ja": 7054, "tr": 4333, "pl": 4278, "it": 2585, "sv": 2119, "nl": 2077, "ca": 1883, "fi": 1066,
    "id": 1014, "ar": 739, "uk": 697, "vi": 691, "he": 688, "el": 529, "da": 473, "ms": 382, "hu": 379,
    "ro": 356, "no": 266, "th": 226, "cs": 192, "ta": 136, "ur": 104,
}  # fmt: skip
"""Hours of transcribed speech in Whisper's training set from `LEAST_HOURS` (arXiv 2212.04356, appendix E)."""
LEAST_HOURS = 100.0
"""Languages with less get no bias, so that they are not disfavoured against each other."""
WEIGHT = 0.25
"""Weight of the logarithm of the hours. The best fit to recordings in five frequent languages would be 0.36;
the card says why it is lower."""
MIN_CONFIDENCE = 0.5
"""The language that is named is more probable than all others together."""
MAX_ENTROPY_NATS = 3.0
"""Entropy of the network's own probabilities above which no language is named; 2 of 202 clips of single
letters have more, and none of sentences."""
MIN_SECONDS, SHORT_SOURCES = 3.0, ("emodb",)
CLIPS = 200
"""Most clips of one source and language."""

Floats = NDArray[np.float64]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Heard:
    """What the network heard in labelled clips."""

    logs: Floats
    """Log-probabilities, (clips, languages)."""
    languages: NDArray[np.intp]
    """Index of the language that is spoken, (clips,)."""
    sources: NDArray[np.str_]
    """(clips,)."""

    def only(self, chosen: NDArray[np.bool_]) -> "Heard":
        """Return the chosen clips, (clips,)."""
        return Heard(self.logs[chosen], self.languages[chosen], self.sources[chosen])

    def weights(self) -> Floats:
        """Return the weight of each clip; they sum to 1."""
        keys = [*zip(self.languages.tolist(), self.sources.tolist(), strict=True)]
        clips = {key: keys.count(key) for key in {*keys}}
        sources = {language: sum(key[0] == language for key in clips) for language, _ in clips}
        weights: Floats = np.array([1 / (clips[key] * sources[key[0]]) for key in keys])
        weights /= weights.sum()
        return weights


def main() -> None:
    """Fit, print the table, and write the parameters."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speech", type=Path, required=True, help="a folder with manifest.tsv")
    parser.add_argument("--to", type=Path, default=STARTER_FOLDER / LANGUAGE / CALIBRATION)
    parser.add_argument("--weight", type=float, default=WEIGHT, help="weight of the hours")
    options = parser.parse_args()
    codes = [code for code, _ in service_languages(99)]
    heard = listen(options.speech, codes)
    bias = biases(codes, options.weight)
    temperature = fit_temperature(heard, bias)
    columns = ("source", "clips", "NLL before", "NLL", "without it", "ECE before", "ECE")
    table = Table(*columns, title=f"temperature {temperature:.3f}")
    for source in sorted({*heard.sources.tolist()}):
        mine = heard.only(heard.sources == source)
        other = fit_temperature(heard.only(heard.sources != source), bias)
        before, after = posteriors(mine, np.zeros_like(bias), 1.0), posteriors(mine, bias, temperature)
        cells = (
            nll(before, mine), nll(after, mine), nll(posteriors(mine, bias, other), mine),
            calibration_error(before, mine), calibration_error(after, mine),
        )  # fmt: skip
        table.add_row(source, str(len(mine.logs)), *(f"{cell:.3f}" for cell in cells))
    Console(width=120).print(table)
    options.to.write_text(json.dumps({LANGUAGE: parameters(codes, bias, temperature)}, indent=2) + "\n")


def listen(folder: Path, codes: Sequence[str]) -> Heard:
    """Run the network over the chosen clips of a folder."""
    torch.set_num_threads(1)
    checkpoint = locate(ModelKey.LANGUAGE, CheckpointSource(source=STARTER))
    identifier = WhisperLanguageIdentifier(checkpoint, "cpu")
    with (folder / "manifest.tsv").open(encoding="utf-8", newline="") as lines:
        rows = chosen_rows(list(csv.DictReader(lines, delimiter="\t")), codes)
    logs = [identifier.log_probabilities([clip])[0, : len(codes)].numpy() for clip in clips_of(folder, rows)]
    languages = np.array([codes.index(row["lang"]) for row in rows])
    return Heard(np.stack(logs), languages, np.array([row["source"] for row in rows]))


def chosen_rows(rows: Sequence[dict[str, str]], codes: Sequence[str]) -> list[dict[str, str]]:
    """Return at most `CLIPS` real clips of each source and language, evenly spaced, in the order of files."""
    groups: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        is_long = float(row["duration_s"]) >= MIN_SECONDS or row["source"] in SHORT_SOURCES
        if row["label"] == "real" and row["lang"] in codes and is_long:
            groups[row["source"], row["lang"]].append(row)
    chosen = [row for group in groups.values() for row in evenly_spaced(group, CLIPS)]
    return sorted(chosen, key=lambda row: row["file"])


def evenly_spaced(items: Sequence[T], most: int) -> list[T]:
    """Return `most` of the items, or all if there are no more."""
    count = min(len(items), most)
    return [items[number * len(items) // count] for number in range(count)]


def clips_of(folder: Path, rows: Sequence[dict[str, str]]) -> Iterator[Waveform]:
    """Yield the samples of each line; lines of one file are adjacent, so that it is decoded once."""
    name, recording = "", np.zeros(0, np.float32)
    for row in rows:
        if row["file"] != name:
            name, recording = row["file"], decode((folder / row["file"]).read_bytes(), AudioLimits())
        start = round(float(row["start_s"]) * SAMPLE_RATE_HZ)
        yield recording[start : start + round(float(row["duration_s"]) * SAMPLE_RATE_HZ)]


def biases(codes: Sequence[str], weight: float) -> Floats:
    """Return the bias of each language in nats, (languages,)."""
    return weight * np.log([max(HOURS.get(code, 0.0), LEAST_HOURS) / LEAST_HOURS for code in codes])


def fit_temperature(heard: Heard, bias: Floats) -> float:
    """Return the temperature with the least weighted negative log-likelihood."""
    weights, clips = heard.weights(), np.arange(len(heard.logs))

    def cost(temperature: float) -> float:
        return float(-weights @ posteriors(heard, bias, temperature)[clips, heard.languages])

    return float(minimize_scalar(cost, bounds=(0.3, 3.0), method="bounded").x)


def posteriors(heard: Heard, bias: Floats, temperature: float | Floats) -> Floats:
    """Return calibrated log-probabilities, (clips, languages); a temperature for all or (clips, 1)."""
    found: Floats = log_softmax((heard.logs + bias) / temperature, axis=1)
    return found


def nll(logs: Floats, heard: Heard) -> float:
    """Return the mean negative log-probability of the language that is spoken."""
    return float(-logs[np.arange(len(logs)), heard.languages].mean())


def calibration_error(logs: Floats, heard: Heard, bins: int = 10) -> float:
    """Return the expected calibration error of the most probable language, in bins of equal width."""
    right, confidence = logs.argmax(axis=1) == heard.languages, np.exp(logs.max(axis=1))
    of_clip = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs((right[of_clip == one] - confidence[of_clip == one]).sum()) for one in range(bins)]
    return float(sum(gaps) / len(logs))


def parameters(codes: Sequence[str], bias: Floats, temperature: float) -> dict[str, object]:
    """Return the object of the file."""
    return {
        "temperature": round(temperature, 2),
        "min_confidence": MIN_CONFIDENCE,
        "max_entropy_nats": MAX_ENTROPY_NATS,
        "bias_nats": {
            code: round(float(value), 3) for code, value in zip(codes, bias, strict=True) if value > 0
        },
    }


if __name__ == "__main__":
    main()
