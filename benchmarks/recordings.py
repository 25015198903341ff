"""Recordings to send: cuts of a real conversation, no two alike, so that no cache can answer."""

import functools
import io
import itertools
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soundfile

from config.settings import AudioLimits
from pipelines.audio.decoding import decode
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

_numbers = itertools.count()


def clip(seconds: float, spread_s: float = 0.0) -> Waveform:
    """A cut of the conversation that nobody got before: from a place and at a level of its own.

    Args:
        seconds: Of the cut.
        spread_s: The cut is up to so much shorter or longer.
    """
    random = np.random.default_rng(next(_numbers))
    whole = conversation()
    start = random.integers(len(whole))
    seconds += random.uniform(-spread_s, spread_s)
    samples = np.resize(np.roll(whole, -start), round(seconds * SAMPLE_RATE_HZ))
    return (random.uniform(0.5, 1.0) * samples).astype(np.float32)


def wav(waveform: Waveform) -> bytes:
    """A WAV file of 16 bits."""
    file = io.BytesIO()
    soundfile.write(file, waveform, SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
    return file.getvalue()


@functools.cache
def conversation() -> Waveform:
    """Half a minute of two people: the sample inside the pyannote.audio package."""
    package = find_spec("pyannote.audio")
    assert package is not None
    assert package.origin is not None
    return decode((Path(package.origin).parent / "sample" / "sample.wav").read_bytes(), AudioLimits())
