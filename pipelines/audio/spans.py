"""What the readers of containers yield, and what they tell of the file beside it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
"""Samples of a file at its own rate, shape (samples, channels)."""
SILENCE_BLOCK_S = 4.0


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive samples of a file."""

    samples: Samples
    sample_rate: int


@dataclass(slots=True)
class Findings:
    """What decoding finds out about a recording; the readers add to it."""

    sample_rate: int = 0
    """Highest sampling rate of the files, in Hz."""
    channels: int = 0
    """Most channels of the files."""
    stated_s: float = 0.0
    """Seconds that the header of the file that is being read states; 0.0 if it states none."""
    damaged_s: float = 0.0
    """Seconds that could not be decoded, in their place as silence."""
    missing_s: float = 0.0
    """Seconds between packets for which the file has no samples, as silence."""


def silence(seconds: float, sample_rate: int, channels: int) -> Iterator[Span]:
    """Yield zeros in blocks."""
    left = round(seconds * sample_rate)
    block = round(SILENCE_BLOCK_S * sample_rate)
    while left > 0:
        yield Span(np.zeros((min(block, left), channels), np.float32), sample_rate)
        left -= block
