"""Recordings on their way from the ingress to the models: packed, and sent in one of two ways."""

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import ray
from ray.serve.handle import DeploymentHandle

from deployments.transport.calls import DIRECT_BYTES, direct
from voxgraph.results import Waveform

Samples = Waveform | npt.NDArray[np.int16]
"""A recording as it is sent, float32 or int16; `from_pcm16` makes a `Waveform` of it."""

MIN_PCM16_SAMPLES = 1 << 16
"""Samples from which halving the bytes is worth two passes over them: between idle replicas it saves 2 ms
of 5 for ten seconds of audio, and nothing for three. Conversion works in blocks of this size."""
_FULL_SCALE = 1 << 15


def to_pcm16(waveform: Waveform) -> Samples:
    """Halve the bytes of a long recording if that is lossless, i.e. if it was decoded from 16-bit PCM.

    Return int16 samples, full scale 32768, or the waveform itself.
    """
    if len(waveform) < MIN_PCM16_SAMPLES:
        return waveform
    samples = np.empty(len(waveform), np.int16)
    for start in range(0, len(waveform), MIN_PCM16_SAMPLES):
        block = slice(start, start + MIN_PCM16_SAMPLES)
        scaled = waveform[block] * _FULL_SCALE
        with np.errstate(invalid="ignore"):  # Beyond full scale the result is undefined, and unequal below.
            samples[block] = scaled
        if not np.array_equal(samples[block], scaled):
            return waveform
    return samples


def from_pcm16(samples: Samples) -> Waveform:
    """Convert int16 samples of `to_pcm16` back to float32; return float32 samples unchanged."""
    if samples.dtype == np.int16:
        return np.multiply(samples, np.float32(1 / _FULL_SCALE), dtype=np.float32)
    return samples.astype(np.float32, copy=False)


class Clip:
    """A recording that several models may read; a long one is put into the object store on first use."""

    def __init__(self, waveform: Waveform) -> None:
        self.waveform = waveform

    @cached_property
    def is_short(self) -> bool:
        """Whether the recording is sent directly."""
        return self.waveform.nbytes <= 2 * DIRECT_BYTES and self._pcm16.nbytes <= DIRECT_BYTES

    @cached_property
    def payload(self) -> "Samples | ray.ObjectRef[Samples]":
        """Argument for a handle of `ModelHandle.handle_for`: samples, or a reference to them."""
        return self._pcm16 if self.is_short else ray.put(self._pcm16)

    @property
    def digest_source(self) -> Samples:
        """Samples that identify the recording: those that are sent, if they have been computed anyway."""
        return self._pcm16 if self.is_short else self.waveform

    @cached_property
    def _pcm16(self) -> Samples:
        return to_pcm16(self.waveform)


class ModelHandle:
    """Two handles of one model: one passes arguments through the object store, the other directly."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self.by_reference, self.direct = handle, direct(handle)

    def handle_for(self, clip: Clip) -> DeploymentHandle:
        """Return the handle that takes `clip.payload`."""
        return self.direct if clip.is_short else self.by_reference

    def answer(self, clip: Clip) -> Any:
        """Call a model whose items are recordings; return a `voxgraph.calls.Response`."""
        return self.handle_for(clip).answer.remote(clip.payload)
