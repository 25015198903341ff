"""Samples that no model can compute with: not a number, or so large that their squares are none."""

import numpy as np

from config.settings import AudioLimits
from voxgraph.errors import NonFiniteAudio, UnsupportedAudio
from voxgraph.results import Waveform


def check_level(waveform: Waveform, limits: AudioLimits) -> None:
    """Refuse samples out of range.

    Args:
        waveform: Float32, (samples,); full scale is 1.
        limits: Has the largest magnitude.

    Raises:
        NonFiniteAudio: NaN or infinite samples.
        UnsupportedAudio: Beyond `AudioLimits.max_level`.
    """
    peak = float(np.maximum(waveform.max(initial=0.0), -waveform.min(initial=0.0)))  # NaN where one sample is
    if not np.isfinite(peak):
        raise NonFiniteAudio("The samples contain NaN or infinite values.")
    if peak > limits.max_level:
        raise UnsupportedAudio(
            f"Samples of up to {peak:.3g}; at most {limits.max_level:.3g} is taken, where full scale is 1."
        )
