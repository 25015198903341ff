"""Refuse samples that no model can process: not finite, or so large that their squares overflow."""

import numpy as np

from config.settings import AudioLimits
from pipelines.pages import pieces
from voxgraph.errors import NonFiniteAudio, UnsupportedAudio
from voxgraph.results import Waveform


def check_level(waveform: Waveform, limits: AudioLimits) -> None:
    """Refuse a waveform, shape (samples,), with samples out of range; full scale is 1.

    Raises:
        NonFiniteAudio: NaN or infinite samples.
        UnsupportedAudio: A sample whose magnitude is beyond `AudioLimits.max_level`.
    """
    peak = 0.0
    for piece in pieces(waveform):
        # np.maximum returns NaN if any sample is NaN.
        peak = float(np.maximum(peak, np.maximum(piece.max(), -piece.min())))
    if not np.isfinite(peak):
        raise NonFiniteAudio("The samples contain NaN or infinite values.")
    if peak > limits.max_level:
        raise UnsupportedAudio(
            f"The peak sample is {peak:.3g}; the maximum is {limits.max_level:.3g}, where full scale is 1."
        )
