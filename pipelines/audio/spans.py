"""What the readers of containers yield, and what they tell of the file beside it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
"""Samples of a file at its own rate, shape (samples, channels)."""
SILENCE_BLOCK_S = 4.0
JOINED_S = 1.0
"""Seconds from which on spans are not joined."""
CLIPPED_LEVEL = 0.999
"""Magnitude from which a sample is at full scale."""
MAX_PEAK = 2.0
"""Largest magnitude of a file that clips at full scale. Codecs overshoot it by less; a file beyond it has
float samples that were never limited, such as integers stored as float."""


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive samples of a file."""

    samples: Samples
    sample_rate: int

    @property
    def format(self) -> tuple[int, int]:
        """Sampling rate and channels."""
        return self.sample_rate, self.samples.shape[1]


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
    samples: int = 0
    """Samples of all channels that are heard, at the file's own rate."""
    clipped: int = 0
    """How many of these are at full scale beside another such sample of their channel."""
    peak: float = 0.0
    """Largest magnitude of a sample, where full scale is 1."""

    def count(self, samples: Samples) -> None:
        """Count samples of shape (samples, channels), and how many of them are clipped."""
        self.samples += samples.size
        # np.maximum returns NaN if any sample is NaN; `pipelines.levels` refuses those afterwards.
        peak = float(np.maximum(samples.max(initial=0.0), -samples.min(initial=0.0)))
        self.peak = max(self.peak, peak)
        if peak >= CLIPPED_LEVEL:
            is_full = np.abs(samples) >= CLIPPED_LEVEL
            is_clipped = np.zeros_like(is_full)
            is_clipped[1:] = pairs = is_full[1:] & is_full[:-1]
            is_clipped[:-1] |= pairs
            self.clipped += int(np.count_nonzero(is_clipped))

    @property
    def clipped_ratio(self) -> float:
        """Share of clipped samples, 0..1; 0 for a file whose samples go far beyond full scale."""
        if not self.samples or self.peak > MAX_PEAK:
            return 0.0
        return self.clipped / self.samples


def silence(seconds: float, sample_rate: int, channels: int) -> Iterator[Span]:
    """Yield zeros in blocks."""
    left = round(seconds * sample_rate)
    block = round(SILENCE_BLOCK_S * sample_rate)
    while left > 0:
        yield Span(np.zeros((min(block, left), channels), np.float32), sample_rate)
        left -= block


def joined(spans: Iterator[Span]) -> Iterator[Span]:
    """Join small spans of one format: what is done with each span costs as much as a packet of 20 ms."""
    pending, samples, joining = list[Samples](), 0, (0, 0)
    for span in spans:
        if pending and (joining != span.format or samples >= JOINED_S * span.sample_rate):
            yield _join(pending, joining[0])
            pending, samples = [], 0
        pending.append(span.samples)
        samples, joining = samples + len(span.samples), span.format
    if pending:
        yield _join(pending, joining[0])


def _join(parts: list[Samples], sample_rate: int) -> Span:
    return Span(parts[0] if len(parts) == 1 else np.concatenate(parts), sample_rate)
