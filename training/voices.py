"""Voices of espeak-ng and flite (Debian packages of the same names) and their synthesis."""

import io
import subprocess
from dataclasses import dataclass
from typing import Literal
from zlib import crc32

import numpy as np
import soundfile
import soxr
from librosa.effects import trim

from voxgraph.results import SAMPLE_RATE_HZ, Waveform

TRAINING_VARIANTS = [
    "Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Henrique", "Hugo", "Jacky",
    "Lee", "Mario", "Michael", "Nguyen", "Storm", "Tweaky", "adam", "anika", "antonio", "aunty",
    "belinda", "benjamin", "boris", "croak", "david", "edward", "f1", "f2", "f4", "f5", "gustave",
    "iven", "iven3", "john", "kaukovalta", "klatt", "klatt3", "linda", "m1", "m2", "m4", "m5", "m7",
    "m8", "marcelo", "max", "miguel", "norbert", "pablo", "pedro", "quincy", "sandro", "shelby",
    "steph", "travis", "victor", "zac",
]  # fmt: skip
HELD_OUT_VARIANTS = [
    "Marco", "Mike", "Gene2", "ed", "f3", "grandma", "grandpa", "m3", "m6", "michel", "paul", "rob",
    "robert", "klatt4", "RicishayMax", "anikaRobot",
]  # fmt: skip
"""espeak-ng variants used for evaluation only."""

TRACTS = ((50, 1.0), (32, 1.1), (68, 0.91))
"""Pitch (espeak-ng's 0 to 99) and relative vocal tract length of the three voices of each variant."""

TRAINING_RATES = (130, 150, 170, 190)
HELD_OUT_RATES = (140, 160, 180)
"""Words per minute."""
FLITE_RATE = 170
"""flite's own words per minute."""


@dataclass(frozen=True, slots=True)
class Voice:
    """One synthetic speaker."""

    engine: Literal["espeak-ng", "flite"]
    name: str
    pitch: int
    tract: float
    """Relative vocal tract length: formants and pitch are divided by it."""


def espeak_voices(variants: list[str]) -> list[Voice]:
    """Return three voices of each variant, shifted a little by variant so that no two are alike."""
    voices = []
    for name in variants:
        for number, (pitch, tract) in enumerate(TRACTS):
            shade = crc32(f"{name}{number}".encode()) % 1_000 / 1_000 - 0.5
            voices.append(
                Voice("espeak-ng", name, round(pitch + 12 * shade), round(tract * (1 + 0.05 * shade), 4))
            )
    return voices


def flite_voices(names: list[str]) -> list[Voice]:
    """Return three voices of each of flite's recorded speakers."""
    return [Voice("flite", name, 50, tract) for name in names for _, tract in TRACTS]


def speak(voice: Voice, dialect: str, text: str, rate: int) -> Waveform:
    """Synthesize in memory.

    Args:
        voice: The speaker.
        dialect: espeak-ng's name of the language or accent; ignored by flite.
        text: The words to speak.
        rate: Words per minute.

    Returns:
        Float32, (samples,), 16 kHz, without silence at either end, RMS 0.05.
    """
    # Resampling to a slower playback lengthens the tract, so the speech is synthesized faster.
    pace = rate * voice.tract
    if voice.engine == "espeak-ng":
        command = ["espeak-ng", "--stdout", "-v", f"{dialect}+{voice.name}", "-p", str(voice.pitch),
                   "-s", str(round(pace)), text]  # fmt: skip
    else:
        command = ["flite", "-voice", voice.name, "--setf", f"duration_stretch={FLITE_RATE / pace:.3f}",
                   "-t", text, "-o", "/dev/stdout"]  # fmt: skip
    wav = subprocess.run(command, capture_output=True, check=True).stdout
    # The header of a WAV written to a pipe only guesses the length.
    samples, sample_rate = soundfile.read(io.BytesIO(wav), dtype="float32")
    return trim_and_normalise(soxr.resample(samples, sample_rate / voice.tract, SAMPLE_RATE_HZ))


def trim_and_normalise(samples: Waveform) -> Waveform:
    """Trim silence at both ends and scale to an RMS of 0.05."""
    trimmed, _ = trim(samples, top_db=40, frame_length=512, hop_length=128)
    waveform: Waveform = (0.05 * trimmed / max(np.sqrt(np.mean(trimmed**2)), 1e-6)).astype(np.float32)
    return waveform
