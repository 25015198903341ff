"""Find the parts of a recording that probably contain speech, by their energy."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pipelines.samples import Samples, blocks_of
from voxgraph.results import SAMPLE_RATE_HZ

BLOCK = SAMPLE_RATE_HZ
"""Distance in samples between possible starts of a window."""
QUIET_RATIO = 1e-3
"""Share of the loudest window's energy (30 dB below it) under which a window is left out."""
FRAME = 320
"""Samples of a frame of 20 ms."""
LOUD_QUANTILE = 0.95
TINY = float(np.finfo(np.float32).tiny)
"""Energy of digital silence, which is never speech."""


def speech_windows(clip: Samples, window: int, count: int) -> list[tuple[int, int]]:
    """Choose windows spread over a recording.

    The recording is cut into equal sections, each at least one window long. Each section contributes its
    window with the most energy, unless that is much quieter than the windows of the other sections.

    Args:
        clip: (samples,), float32 or int16, 16 kHz, at least one sample.
        window: Length of a window in samples, a multiple of `BLOCK`.
        count: Most windows to return; at least 1.

    Returns:
        1 to `count` spans (start, end) in samples, in ascending order, without overlap. A recording of at
        most one window is one span; otherwise each span has `window` samples.
    """
    if len(clip) <= window:
        return [(0, len(clip))]
    energies = _block_energies(clip)
    sums = np.convolve(energies, np.ones(window // BLOCK), mode="valid")
    sections = min(count, len(energies) * BLOCK // window)
    bounds = [len(energies) * section // sections for section in range(sections + 1)]
    starts = []
    for first, end in pairwise(bounds):
        inside = sums[first : end - window // BLOCK + 1]
        starts.append(first + int(inside.argmax()))
    quiet = QUIET_RATIO * max(sums[start] for start in starts)
    return [(start * BLOCK, start * BLOCK + window) for start in starts if sums[start] >= quiet]


def speech_seconds(clip: Samples) -> float:
    """Return how long the recording is about as loud as its loudest parts, in seconds.

    That is the time of the frames of 20 ms with at least `QUIET_RATIO` of the energy that only one frame in
    twenty exceeds. Steady noise counts as well.

    Args:
        clip: (samples,), float32 or int16, 16 kHz, at least one sample.
    """
    if len(clip) < FRAME:
        return 0.0
    energies = _energies(clip, FRAME)
    loud = float(np.quantile(energies, LOUD_QUANTILE))
    return int((energies >= max(QUIET_RATIO * loud, TINY)).sum()) * FRAME / SAMPLE_RATE_HZ


def _block_energies(clip: Samples) -> npt.NDArray[np.float64]:
    """Return the sum of squares of each whole second, (seconds,)."""
    return _energies(clip, BLOCK).astype(np.float64)


def _energies(clip: Samples, length: int) -> npt.NDArray[np.float32]:
    """Return the sum of squares of each whole frame of some samples, (frames,)."""
    found = []
    for block in blocks_of(clip, length):
        frames = block[: len(block) // length * length].reshape(-1, length)
        found.append(np.einsum("ij,ij->i", frames, frames))
    return np.concatenate(found)
