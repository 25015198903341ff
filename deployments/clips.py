"""Recordings on their way from the ingress to the models: checked, and sent in one of two ways."""

from functools import cached_property

import numpy as np
import ray
from ray.serve.handle import DeploymentHandle

from config.settings import GraphSettings
from deployments.calls import DIRECT_BYTES, direct
from pipelines.audio import SAMPLE_RATE_HZ
from pipelines.errors import AudioTooLong, AudioTooShort, InvalidAudio, NonFiniteAudio
from pipelines.results import Waveform


class Clip:
    """A recording that several models may read: a long one from the object store, put there when one asks."""

    def __init__(self, waveform: Waveform) -> None:
        self.waveform = waveform
        self.is_short: bool = waveform.nbytes <= DIRECT_BYTES

    @cached_property
    def sent(self) -> "Waveform | ray.ObjectRef[Waveform]":
        """What a handle is given."""
        return self.waveform if self.is_short else ray.put(self.waveform)


class ModelHandle:
    """A model's handle, in the two ways that recordings take."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self.by_reference, self.direct = handle, direct(handle)

    def given(self, clip: Clip) -> DeploymentHandle:
        """The one that takes what of the clip is sent."""
        return self.direct if clip.is_short else self.by_reference


def checked(waveform: Waveform, settings: GraphSettings) -> Waveform:
    """Return a recording that the models can take, unchanged.

    Raises:
        InvalidAudio: Not a one-dimensional float32 array.
        AudioTooShort: Below `AudioLimits.min_audio_s`.
        AudioTooLong: Above `AudioLimits.max_audio_s`.
        NonFiniteAudio: NaN or infinite samples.
    """
    if not isinstance(waveform, np.ndarray) or waveform.ndim != 1 or waveform.dtype != np.float32:
        raise InvalidAudio("A waveform is a one-dimensional float32 array of 16 kHz mono samples.")
    seconds, limits = len(waveform) / SAMPLE_RATE_HZ, settings.limits
    if seconds < limits.min_audio_s:
        raise AudioTooShort(f"{seconds:.3f} s of audio; at least {limits.min_audio_s:g} s are needed.")
    if seconds > limits.max_audio_s:
        raise AudioTooLong(f"{seconds:.0f} s of audio; at most {limits.max_audio_s:g} s are taken.")
    if not np.isfinite(waveform).all():
        raise NonFiniteAudio("The samples contain NaN or infinite values.")
    return waveform
