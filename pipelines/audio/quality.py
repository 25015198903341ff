"""Measure how well a recording can be heard, from its samples alone; no model is asked.

All figures are estimates from the mono waveform at 16 kHz. Clipped samples are counted while decoding, before
they are mixed and resampled (`pipelines.audio.spans`). Ten seconds take 0.4 ms, ten minutes 3 ms.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.pages import give_back
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

FRAME = 512
"""Samples of a frame: 32 ms."""
MAX_FRAMES = 6_000
"""Most frames whose power is taken, spread over the recording: 192 s."""
FRAMES_AT_ONCE = 500
"""Frames that are copied before the pages around them are given back: up to 32 MB."""
MAX_SPECTRA = 150
"""Most frames whose spectrum is taken, spread over those that stand out: 4.8 s."""
FLOOR_PERCENTILE = 10
"""Percentile of the frames' powers that is taken for the noise between words."""
ACTIVE_DB = 6.0
"""Decibels over the noise from which on a frame counts as sound that stands out."""
RANGE_DB = 45.0
"""Decibels below the loudest frames (95th percentile) under which a frame is no speech: echo and breath."""
MAX_SNR_DB = 60.0
"""Highest ratio that is reported."""
BANDWIDTH_DB = -65.0
"""Level relative to the spectrum's maximum that the highest frequency of a recording must reach. 80 clips of
seven sources reached 5.7 to 7.8 kHz, telephone announcements 4.3 kHz, and all of these resampled to 8 kHz and
back 3.7 to 3.9 kHz."""
LOWEST_BIN = 2
"""First bin of a spectrum that counts, 62 Hz: a constant offset and rumble are no reference for the rest."""
_POWER_FLOOR = 1e-12
"""Power of a frame, where full scale is 1, below which it is digital silence (-120 dB)."""
_ROUNDING = 1e-11
"""Power of rounding errors in a spectrum, relative to the sum of squares of the samples."""
_WINDOW = np.hanning(FRAME).astype(np.float32)

Frames = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Measured:
    """What the samples of a recording show; `voxgraph.results.Quality` has the fields' meaning."""

    active_s: float
    """Seconds of sound that stands out from the noise: speech, music, or anything else that is not steady."""
    snr_db: float | None
    bandwidth_hz: int | None


def measure(waveform: Waveform) -> Measured:
    """Measure a recording.

    Args:
        waveform: (samples,), float32, 16 kHz.
    """
    frames = _frames(waveform)
    powers = np.einsum("ij,ij->i", frames, frames).astype(np.float64) / FRAME
    # Digital silence, as between the packets of a call, is no measure of the noise in the rest.
    is_sound = powers > _POWER_FLOOR
    if not is_sound.any():
        return Measured(0.0, None, None)
    floor, loud = np.percentile(powers[is_sound], (FLOOR_PERCENTILE, 95))
    is_active = (powers > floor * 10 ** (ACTIVE_DB / 10)) & (powers > loud * 10 ** (-RANGE_DB / 10))
    if not is_active.any():
        return Measured(0.0, None, _bandwidth(frames[is_sound]))
    ratio = max(float(powers[is_active].mean() / floor) - 1, 1e-3)
    return Measured(
        float(is_active.mean()) * len(waveform) / SAMPLE_RATE_HZ,
        min(10 * float(np.log10(ratio)), MAX_SNR_DB),
        _bandwidth(frames[is_active]),
    )


def _frames(waveform: Waveform) -> Frames:
    """Return frames of `FRAME` samples, (frames, FRAME), without overlap, spread over the recording."""
    count = len(waveform) // FRAME
    frames = waveform[: count * FRAME].reshape(count, FRAME)
    step = max(1, -(-count // MAX_FRAMES))
    if step == 1:
        return frames
    # Each frame of a long recording that is mapped brings the pages around it along.
    copies, span = list[Frames](), FRAMES_AT_ONCE * step
    for start in range(0, count, span):
        copies.append(frames[start : start + span : step].copy())
        give_back(waveform)
    return np.concatenate(copies)


def _bandwidth(frames: Frames) -> int | None:
    """Return the highest frequency in Hz whose power is within `BANDWIDTH_DB` of the maximum, if any is."""
    some = frames[:: max(1, -(-len(frames) // MAX_SPECTRA))]
    spectrum = np.fft.rfft((some - some.mean(axis=1, keepdims=True)) * _WINDOW, axis=1)
    power = (spectrum.real**2 + spectrum.imag**2).sum(axis=0)[LOWEST_BIN:]
    if power.max() <= _ROUNDING * np.vdot(some, some):
        return None
    is_there = power >= power.max() * 10 ** (BANDWIDTH_DB / 10)
    return int((np.flatnonzero(is_there)[-1] + LOWEST_BIN) * SAMPLE_RATE_HZ / FRAME)
