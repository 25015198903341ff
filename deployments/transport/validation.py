"""Checks of a recording before it goes to the models. No Ray."""

import numpy as np

from config.settings import GraphSettings
from pipelines.levels import check_level
from voxgraph.errors import AudioTooLong, AudioTooShort, InvalidAudio
from voxgraph.options import ModelKey
from voxgraph.results import SAMPLE_RATE_HZ, Waveform


def validate_waveform(waveform: Waveform, settings: GraphSettings) -> Waveform:
    """Check that the models can take a recording, and return it unchanged.

    Raises:
        InvalidAudio: Not a one-dimensional float32 array.
        AudioTooShort: Below `AudioLimits.min_audio_s`.
        AudioTooLong: Above `AudioLimits.max_audio_s`.
        NonFiniteAudio: NaN or infinite samples.
        UnsupportedAudio: Beyond `AudioLimits.max_level`.
    """
    if not isinstance(waveform, np.ndarray) or waveform.ndim != 1 or waveform.dtype != np.float32:
        raise InvalidAudio("A waveform is a one-dimensional float32 array of 16 kHz mono samples.")
    seconds, limits = len(waveform) / SAMPLE_RATE_HZ, settings.limits
    if seconds < limits.min_audio_s:
        raise AudioTooShort(f"{seconds:.3f} s of audio; at least {limits.min_audio_s:g} s are needed.")
    if seconds > limits.max_audio_s:
        raise AudioTooLong(f"{seconds:.0f} s of audio; at most {limits.max_audio_s:g} s are taken.")
    check_level(waveform, limits)
    return waveform


def check_length(samples: int, minimum: int, model: ModelKey) -> None:
    """Raise `AudioTooShort` if a recording has fewer samples than a model needs."""
    if samples < minimum:
        seconds, needed = samples / SAMPLE_RATE_HZ, minimum / SAMPLE_RATE_HZ
        raise AudioTooShort(f"{seconds:.3f} s of audio; model {model} needs {needed:.3f} s.")
