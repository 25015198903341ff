"""Recordings on their way from the ingress to the models: checked, made small, sent in one of two ways."""

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import ray
from ray.serve.handle import DeploymentHandle

from config.settings import GraphSettings
from deployments.transport.calls import DIRECT_BYTES, direct
from pipelines.levels import check_level
from voxgraph.errors import AudioTooLong, AudioTooShort, InvalidAudio
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

Samples = Waveform | npt.NDArray[np.int16]
"""A recording as it is sent: `from_pcm16` makes a `Waveform` of it."""

PCM16_FROM = 1 << 16
"""Samples from which half the bytes are worth two passes: between replicas that do nothing 2 ms of 5 for ten
seconds, none for three."""
_FULL_SCALE = 1 << 15


def to_pcm16(waveform: Waveform) -> Samples:
    """The same recording in half the bytes where it is long and not a bit is lost: decoded from 16-bit PCM.

    Returns:
        Int16, full scale 32768, or the waveform itself.
    """
    if len(waveform) < PCM16_FROM:
        return waveform
    samples = np.empty(len(waveform), np.int16)
    for start in range(0, len(waveform), PCM16_FROM):
        block = slice(start, start + PCM16_FROM)
        scaled = waveform[block] * _FULL_SCALE
        with np.errstate(invalid="ignore"):  # Beyond full scale: whatever comes of it is not what it was.
            samples[block] = scaled
        if not np.array_equal(samples[block], scaled):
            return waveform
    return samples


def from_pcm16(samples: Samples) -> Waveform:
    """The recording that was `to_pcm16`; whatever else comes is returned as it is."""
    if samples.dtype == np.int16:
        return np.multiply(samples, np.float32(1 / _FULL_SCALE), dtype=np.float32)
    return samples.astype(np.float32, copy=False)


class Clip:
    """A recording that several models may read: a long one from the object store, put there when one asks."""

    def __init__(self, waveform: Waveform) -> None:
        self.waveform = waveform

    @cached_property
    def is_short(self) -> bool:
        """Whether it goes directly."""
        return self.waveform.nbytes <= 2 * DIRECT_BYTES and self._pcm16.nbytes <= DIRECT_BYTES

    @cached_property
    def sent(self) -> "Samples | ray.ObjectRef[Samples]":
        """What a handle is given."""
        return self._pcm16 if self.is_short else ray.put(self._pcm16)

    @property
    def digest_source(self) -> Samples:
        """What tells it from every other: as it is sent, where that is at hand."""
        return self._pcm16 if self.is_short else self.waveform

    @cached_property
    def _pcm16(self) -> Samples:
        return to_pcm16(self.waveform)


class ModelHandle:
    """A model's handle, in the two ways that recordings take."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self.by_reference, self.direct = handle, direct(handle)

    def handle_for(self, clip: Clip) -> DeploymentHandle:
        """The one that takes what of the clip is sent."""
        return self.direct if clip.is_short else self.by_reference

    def answer(self, clip: Clip) -> Any:
        """Ask a model whose items are recordings; returns a `deployments.transport.calls.Response`."""
        return self.handle_for(clip).answer.remote(clip.sent)


def validate_waveform(waveform: Waveform, settings: GraphSettings) -> Waveform:
    """Return a recording that the models can take, unchanged.

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
