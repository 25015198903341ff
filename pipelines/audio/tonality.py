"""Tell tones and sustained music from speech, from the samples alone; no model is asked.

A segmentation network takes ringing tones, melodies and chords for voices now and then. Their spectral peaks
stay where they are for a tenth of a second and more; those of a voice glide, since its pitch never rests
(the continuous activation of frequencies by which Seyerlehner et al., DAFx 2007, find music in broadcasts).
"""

import numpy as np
import numpy.typing as npt

from voxgraph.results import Waveform

FRAME, HOP = 1024, 512
"""Length and distance of frames in samples: 64 and 32 ms."""
LAG = 4
"""Frames between the two spectra that are compared: 128 ms."""
BLOCK = 25
"""Consecutive pairs of frames that are looked at."""
MAX_BLOCKS = 12
"""Most blocks, spread over the recording: 9.6 s."""
LOWEST_BIN, HIGHEST_BIN = 6, 320
"""Bins of the spectrum that are compared: 94 to 5000 Hz."""
SMOOTH = 21
"""Bins of the running mean above which a spectrum has its peaks: 330 Hz."""
MAX_PEAK_DB = 30.0
MIN_PAIRS = 10
"""Least pairs of loud frames that say anything: 0.3 s of sound."""
RANGE = 1e-3
"""Share of the loud frames' energy (30 dB below it) from which frames are compared."""
GLIDES = 0.55
"""Similarity of the peaks of two frames, 0..1, below which they have moved."""

Array = npt.NDArray[np.float32]


def gliding_share(waveform: Waveform) -> float | None:
    """Return the share of pairs of frames whose spectral peaks have moved, 0..1; None if there are too few.

    Of 1,300 clips of real speech one had 0.11 and all others 0.24 or more; 99 in 100 of 300 mixtures with
    music 5 dB below the speech had 0.11 or more. Ringing and busy tones, held notes, slow melodies and chords
    have 0 to 0.1.

    Args:
        waveform: (samples,), float32, 16 kHz.
    """
    frames, rows = _frames(waveform)
    if not len(rows):
        return None
    power = np.abs(np.fft.rfft(frames * np.hanning(FRAME).astype(np.float32), axis=1)) ** 2
    power = power[:, LOWEST_BIN:HIGHEST_BIN]
    energy = power.sum(axis=1)
    if energy.max() <= 0.0:
        return None
    is_loud = energy > RANGE * np.percentile(energy, 95)
    peaks = _peaks(power / energy.max())
    similar = (peaks[rows] * peaks[rows + LAG]).sum(axis=1)
    compared = similar[is_loud[rows] & is_loud[rows + LAG]]
    return float((compared < GLIDES).mean()) if len(compared) >= MIN_PAIRS else None


def _frames(waveform: Waveform) -> tuple[Array, npt.NDArray[np.intp]]:
    """Return frames, (frames, FRAME), in blocks, and the first frame of each pair."""
    count = max((len(waveform) - FRAME) // HOP + 1, 0)
    blocks = min(MAX_BLOCKS, (count - LAG) // BLOCK)
    if blocks < 1:
        starts, length = np.zeros(min(1, max(count - LAG, 0)), np.intp), max(count - LAG, 0)
    else:
        starts, length = np.linspace(0, count - LAG - BLOCK, blocks).astype(np.intp), BLOCK
    chosen = (starts[:, None] + np.arange(length + LAG)).ravel()
    if not len(chosen):
        return np.empty((0, FRAME), np.float32), chosen
    every = np.lib.stride_tricks.sliding_window_view(waveform, FRAME)[::HOP]
    rows = (np.arange(len(starts))[:, None] * (length + LAG) + np.arange(length)).ravel()
    return every[chosen], rows


def _peaks(power: Array) -> Array:
    """Return how far each bin is above its neighbourhood, scaled to length 1: (frames, bins)."""
    level = 10 * np.log10(power + 1e-9)
    padded = np.pad(level, ((0, 0), (SMOOTH // 2 + 1, SMOOTH // 2)), mode="edge")
    sums = np.cumsum(padded, axis=1)
    peaks = np.clip(level - (sums[:, SMOOTH:] - sums[:, :-SMOOTH]) / SMOOTH, 0.0, MAX_PEAK_DB)
    found: Array = peaks / np.maximum(np.sqrt((peaks**2).sum(axis=1, keepdims=True)), 1e-9)
    return found
