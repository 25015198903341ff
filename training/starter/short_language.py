"""``python -m training.starter.short_language``: fit how unsure the language starter is of short recordings.

With the temperature of clips of 3 s and more, every tenth short prompt of a telephone gets a wrong language
with a probability above 0.9. One number more, the temperature at 0 s, mends that; the biases and the other
temperature stay as they are. Each language has the same weight and, within it, each source. The table shows
for each source what a fit without it gives there.

The prompts are those of Debian's ``asterisk-core-sounds-en-wav``, ``-es-wav`` and ``-fr-wav`` (CC BY-SA 3.0),
and the short clips of Italian and Russian prompts in the folder of speech.
"""

import argparse
import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy.optimize import minimize_scalar

from config.settings import STARTER, AudioLimits, CheckpointSource
from pipelines.audio.decoding import decode
from pipelines.calibrations import CALIBRATION
from pipelines.checkpoints import STARTER_FOLDER, locate
from pipelines.language_calibration import AT_0_S, LANGUAGE, LONG_S, language_calibration, shortfall
from pipelines.language_whisper import WhisperLanguageIdentifier
from pipelines.whisper_languages import service_languages
from training.starter.language_calibration import (
    Floats,
    Heard,
    calibration_error,
    clips_of,
    evenly_spaced,
    nll,
    posteriors,
)
from voxgraph.options import ModelKey
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

VOICES = {"en": "en_US_f_Allison", "es": "es_MX_f_Allison", "fr": "fr_CA_f_June"}
"""Folder of each language's prompts in the packages."""
NOT_SPOKEN = ("silence", "beep", "tt-", "letters", "phonetic")
"""What prompts without speech, or with single letters, have in their path."""
SOURCES = {"it": "asterisk-it", "ru": "asterisk-ru"}
CLIPS = 80
"""Most clips of one language."""
MIN_S = 0.5
HOTTEST = 9.0


def main() -> None:
    """Fit, print the table, and write the temperature."""
    parser = argparse.ArgumentParser(prog="python -m training.starter.short_language", description=__doc__)
    parser.add_argument("--speech", type=Path, required=True, help="a folder with manifest.tsv")
    parser.add_argument("--prompts", type=Path, required=True, help="where the packages are unpacked")
    parser.add_argument("--to", type=Path, default=STARTER_FOLDER / LANGUAGE / CALIBRATION)
    options = parser.parse_args()
    torch.set_num_threads(1)
    checkpoint = locate(ModelKey.LANGUAGE, CheckpointSource(source=STARTER))
    identifier = WhisperLanguageIdentifier(checkpoint, "cpu")
    codes = [code for code, _ in service_languages(99)]
    calibration = language_calibration(checkpoint, codes)
    bias, temperature = np.array(calibration.bias), calibration.temperature
    heard, lacks = listen(identifier, codes, options.speech, options.prompts)
    found = fit(heard, lacks, bias, temperature)
    columns = ("source", "clips", "NLL before", "NLL", "without it", "ECE before", "ECE")
    table = Table(*columns, title=f"temperature at 0 s {found:.3f}")
    for source in sorted({*heard.sources.tolist()}):
        own = heard.sources == source
        mine, without = heard.only(own), fit(heard.only(~own), lacks[~own], bias, temperature)
        before, after, other = (
            posteriors(mine, bias, temperatures(lacks[own], temperature, at_0_s))
            for at_0_s in (temperature, found, without)
        )
        cells = (
            nll(before, mine), nll(after, mine), nll(other, mine),
            calibration_error(before, mine), calibration_error(after, mine),
        )  # fmt: skip
        table.add_row(source, str(own.sum()), *(f"{cell:.3f}" for cell in cells))
    Console(width=120).print(table)
    content = json.loads(options.to.read_text(encoding="utf-8"))
    first = {"temperature": content[LANGUAGE]["temperature"], AT_0_S: round(found, 2)}
    content[LANGUAGE] = first | {key: value for key, value in content[LANGUAGE].items() if key not in first}
    options.to.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def listen(
    identifier: WhisperLanguageIdentifier, codes: Sequence[str], speech: Path, prompts: Path
) -> tuple[Heard, Floats]:
    """Run the network over the short clips; return what it heard, and the shortfall of each, (clips,)."""
    with (speech / "manifest.tsv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    logs, languages, sources, lacks = [], [], [], []
    for code in (*VOICES, *SOURCES):
        clips = prompts_of(prompts / VOICES[code]) if code in VOICES else manifest_clips(speech, rows, code)
        for clip in clips:
            logs.append(identifier.log_probabilities([clip])[0, : len(codes)].numpy())
            languages.append(codes.index(code))
            sources.append(VOICES.get(code) or SOURCES[code])
            lacks.append(shortfall(len(clip) / SAMPLE_RATE_HZ))
    return Heard(np.stack(logs), np.array(languages), np.array(sources)), np.array(lacks)


def prompts_of(folder: Path) -> list[Waveform]:
    """Return at most `CLIPS` short prompts of a voice, evenly spaced, in the order of files."""
    paths = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.wav"))]
    spoken = [path for path in paths if not any(part in path for part in NOT_SPOKEN)]
    clips = [decode((folder / path).read_bytes(), AudioLimits()) for path in spoken]
    return evenly_spaced([clip for clip in clips if MIN_S <= len(clip) / SAMPLE_RATE_HZ < LONG_S], CLIPS)


def manifest_clips(folder: Path, rows: Sequence[dict[str, str]], code: str) -> Iterator[Waveform]:
    """Return at most `CLIPS` short clips of a language's source, evenly spaced."""
    short = [
        row
        for row in rows
        if row["source"] == SOURCES[code] and MIN_S <= float(row["duration_s"]) < LONG_S
    ]  # fmt: skip
    return clips_of(folder, sorted(evenly_spaced(short, CLIPS), key=lambda row: row["file"]))


def temperatures(lacks: Floats, temperature: float, at_0_s: float) -> Floats:
    """Return the temperature of each clip, (clips, 1), as `LanguageCalibration.temperature_of` does."""
    found: Floats = temperature + (at_0_s - temperature) * lacks[:, None]
    return found


def fit(heard: Heard, lacks: Floats, bias: Floats, temperature: float) -> float:
    """Return the temperature at 0 s with the least weighted negative log-likelihood.

    Args:
        heard: Short clips.
        lacks: `shortfall` of each, (clips,).
        bias: Of each language, in nats.
        temperature: Of clips of `LONG_S` and more, which is also the least.
    """
    weights, clips = heard.weights(), np.arange(len(lacks))

    def cost(at_0_s: float) -> float:
        logs = posteriors(heard, bias, temperatures(lacks, temperature, at_0_s))
        return float(-weights @ logs[clips, heard.languages])

    return float(minimize_scalar(cost, bounds=(temperature, HOTTEST), method="bounded").x)


if __name__ == "__main__":
    main()
