"""Choose windows of a long recording that probably contain speech, by their energy."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from voxgraph.results import SAMPLE_RATE_HZ, Waveform

BLOCK = SAMPLE_RATE_HZ
"""Distance in samples between possible starts of a window."""
QUIET_RATIO = 1e-3
"""Share of the loudest window's energy (30 dB below it) under which a window is left out."""


def speech_windows(clip: Waveform, window: int, count: int) -> list[tuple[int, int]]:
    """Choose windows spread over a recording.

    The recording is cut into equal sections, each at least one window long. Each section contributes its
    window with the most energy, unless that is much quieter than the windows of the other sections.

    Args:
        clip: (samples,), float32, 16 kHz, at least one sample.
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


def _block_energies(clip: Waveform) -> npt.NDArray[np.float64]:
    """Return the sum of squares of each whole second, (seconds,)."""
    blocks = clip[: len(clip) // BLOCK * BLOCK].reshape(-1, BLOCK)
    energies: npt.NDArray[np.float32] = np.einsum("ij,ij->i", blocks, blocks)
    return energies.astype(np.float64)
