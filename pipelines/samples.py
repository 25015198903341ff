"""Samples as they travel between processes: 16-bit integers where these are the recording exactly."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from voxgraph.results import Waveform

Samples = Waveform | npt.NDArray[np.int16]
"""A recording as it is sent, float32 or int16; `from_pcm16` makes a `Waveform` of it."""

MIN_PCM16_SAMPLES = 1 << 16
"""Samples from which halving the bytes is worth two passes over them: between idle replicas it saves 2 ms
of 5 for ten seconds of audio, and nothing for three. Conversion works in blocks of this size."""
BLOCK_SAMPLES = 1 << 20
"""Samples of a long recording that are float32 at the same time, where a pass over it is enough: 4 MB."""
_FULL_SCALE = 1 << 15


def to_pcm16(waveform: Waveform) -> Samples:
    """Halve the bytes of a long recording if that is lossless, i.e. if it was decoded from 16-bit PCM.

    Return int16 samples, full scale 32768, or the waveform itself.
    """
    if len(waveform) < MIN_PCM16_SAMPLES:
        return waveform
    samples = np.empty(len(waveform), np.int16)
    for start in range(0, len(waveform), MIN_PCM16_SAMPLES):
        block = slice(start, start + MIN_PCM16_SAMPLES)
        scaled = waveform[block] * _FULL_SCALE
        with np.errstate(invalid="ignore"):  # Beyond full scale the result is undefined, and unequal below.
            samples[block] = scaled
        if not np.array_equal(samples[block], scaled):
            return waveform
    return samples


def from_pcm16(samples: Samples) -> Waveform:
    """Convert int16 samples of `to_pcm16` back to float32; return float32 samples unchanged."""
    if samples.dtype == np.int16:
        return np.multiply(samples, np.float32(1 / _FULL_SCALE), dtype=np.float32)
    return samples.astype(np.float32, copy=False)


def blocks_of(samples: Samples, multiple: int = 1) -> Iterator[Waveform]:
    """Yield a recording in float32, block by block, so that hours of it are never in memory twice.

    Args:
        samples: (samples,).
        multiple: Every block but the last has a multiple of so many samples, about `BLOCK_SAMPLES`.
    """
    length = max(1, BLOCK_SAMPLES // multiple) * multiple
    for start in range(0, len(samples), length):
        yield from_pcm16(samples[start : start + length])
