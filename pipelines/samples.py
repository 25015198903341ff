"""Samples as they travel between processes: 16-bit integers where these are the recording exactly."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from pipelines.pages import PIECE_BYTES, give_back_shared
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


class Stretches:
    """A recording that is sent in stretches, which serves as one array: it has a length, a type and parts.

    Args:
        stretches: Consecutive, as from `to_pcm16`, each of the same length but the last.
    """

    def __init__(self, stretches: Sequence[Samples]) -> None:
        self._stretches = stretches
        self._length = len(stretches[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the samples: float32 unless all stretches are int16."""
        types = {stretch.dtype for stretch in self._stretches}
        return types.pop() if len(types) == 1 else np.dtype(np.float32)

    def __len__(self) -> int:
        return self._length * (len(self._stretches) - 1) + len(self._stretches[-1])

    def __getitem__(self, part: slice) -> Samples:
        """Return consecutive samples: a view, or a copy if they are in two stretches or more."""
        start, end, _ = part.indices(len(self))
        first = min(start // self._length, len(self._stretches) - 1)
        last = max(first, (end - 1) // self._length)
        starts = [number * self._length for number in range(first, last + 1)]
        found = [
            stretch[max(0, start - at) : max(0, end - at)]
            for at, stretch in zip(starts, self._stretches[first:], strict=False)
        ]
        if len(found) == 1:
            return found[0]
        if self.dtype == np.float32:
            return np.concatenate([from_pcm16(each) for each in found])
        return cast("npt.NDArray[np.int16]", np.concatenate(found))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Samples:
        """Return all samples as one array."""
        return np.asarray(self[:], dtype)


def from_pcm16(samples: Samples) -> Waveform:
    """Convert int16 samples of `to_pcm16` back to float32; return float32 samples unchanged."""
    if samples.dtype == np.int16:
        return np.multiply(samples, np.float32(1 / _FULL_SCALE), dtype=np.float32)
    return samples.astype(np.float32, copy=False)


def blocks_of(samples: Samples, multiple: int = 1) -> Iterator[Waveform]:
    """Yield a recording in float32, block by block, so that hours of it are never in memory twice.

    What was read of a long one that is in a file in memory is given back on the way.

    Args:
        samples: (samples,).
        multiple: Every block but the last has a multiple of so many samples, about `BLOCK_SAMPLES`.
    """
    length = max(1, BLOCK_SAMPLES // multiple) * multiple
    read = 0
    for start in range(0, len(samples), length):
        block = samples[start : start + length]
        yield from_pcm16(block)
        read += block.nbytes
        if read >= PIECE_BYTES:
            give_back_shared()
            read = 0
