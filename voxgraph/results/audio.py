"""The waveform that every question takes."""

import numpy as np
import numpy.typing as npt

SAMPLE_RATE_HZ = 16_000
"""Sample rate of every `Waveform` and every model."""
Waveform = npt.NDArray[np.float32]
"""Mono samples at 16 kHz, float32, shape (samples,), full scale +-1. May be read-only."""
