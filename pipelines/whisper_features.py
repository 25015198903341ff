"""Whisper's front end: log-mel energies of 16 kHz audio (whisper/audio.py of openai/whisper)."""

from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from voxgraph.results import SAMPLE_RATE_HZ

N_FFT = 400
HOP_SAMPLES = 160
FLOOR = 1e-10
"""Smallest energy whose logarithm is taken."""
RANGE = 8.0
"""Dynamic range that is kept below the loudest point of a window, in powers of ten."""
LINEAR_MEL_HZ = 200.0 / 3
"""Width of one mel below `LINEAR_TO_HZ` on Slaney's scale (Auditory Toolbox, 1998)."""
LINEAR_TO_HZ = 1000.0
LOG_MEL = np.log(6.4) / 27.0
"""Logarithm of the ratio of two frequencies that are one mel apart above `LINEAR_TO_HZ`."""


def log_mel(waveforms: Tensor, filters: Tensor) -> Tensor:
    """Return log-mel energies as Whisper's encoder expects them.

    Args:
        waveforms: (batch, samples), float32, 16 kHz; a multiple of `HOP_SAMPLES` and more than 200 samples.
        filters: Result of `mel_filters`, (n_mels, 201), on the same device.

    Returns:
        (batch, n_mels, samples / 160), float32; each window is scaled by its own maximum.
    """
    window = torch.hann_window(N_FFT, device=waveforms.device)
    spectrum = torch.stft(waveforms, N_FFT, HOP_SAMPLES, window=window, return_complex=True)
    energies = filters @ spectrum[..., :-1].abs().square()
    levels = energies.clamp(min=FLOOR).log10()
    levels = torch.maximum(levels, levels.amax(dim=(1, 2), keepdim=True) - RANGE)
    return (levels + 4.0) / 4.0


@cache
def mel_filters(n_mels: int) -> Tensor:
    """Return triangular filters on Slaney's mel scale from 0 to 8000 Hz, each of unit area in Hz.

    These are the filters of ``librosa.filters.mel(sr=16000, n_fft=400, n_mels=n_mels)``.

    Returns:
        (n_mels, 201), float32.
    """
    bins = np.linspace(0.0, SAMPLE_RATE_HZ / 2, N_FFT // 2 + 1)
    top = LINEAR_TO_HZ / LINEAR_MEL_HZ + np.log(SAMPLE_RATE_HZ / 2 / LINEAR_TO_HZ) / LOG_MEL
    corners = _hertz(np.linspace(0.0, top, n_mels + 2))
    low, centre, high = (corners[first : first + n_mels, None] for first in range(3))
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return torch.from_numpy((triangles * 2.0 / (high - low)).astype(np.float32))


def _hertz(mels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the frequencies of Slaney's mels: linear up to 1000 Hz, logarithmic above."""
    linear_to = LINEAR_TO_HZ / LINEAR_MEL_HZ
    above = LINEAR_TO_HZ * np.exp(LOG_MEL * (mels - linear_to))
    return np.where(mels < linear_to, LINEAR_MEL_HZ * mels, above)
