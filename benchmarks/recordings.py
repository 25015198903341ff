"""Recordings to send: excerpts of a real conversation, all different, so that no cache can answer."""

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
    """Cut a new excerpt of the conversation, with a random start and level.

    Args:
        seconds: Length of the excerpt.
        spread_s: The excerpt is up to this many seconds shorter or longer, at random.
    """
    random = np.random.default_rng(next(_numbers))
    whole = conversation()
    start = random.integers(len(whole))
    seconds += random.uniform(-spread_s, spread_s)
    samples = np.resize(np.roll(whole, -start), round(seconds * SAMPLE_RATE_HZ))
    return (random.uniform(0.5, 1.0) * samples).astype(np.float32)


def wav(waveform: Waveform) -> bytes:
    """Encode a waveform as a 16-bit WAV file."""
    file = io.BytesIO()
    soundfile.write(file, waveform, SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
    return file.getvalue()


@functools.cache
def conversation() -> Waveform:
    """Load the sample of the pyannote.audio package, 30 s of two speakers."""
    package = find_spec("pyannote.audio")
    assert package is not None
    assert package.origin is not None
    return decode((Path(package.origin).parent / "sample" / "sample.wav").read_bytes(), AudioLimits())
