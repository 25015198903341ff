"""Recordings on their way from the ingress to the models: packed, and sent in one of two ways."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import ray
from ray.serve.handle import DeploymentHandle

from deployments.transport.calls import DIRECT_BYTES, direct
from voxgraph.calls import STORE_FULL
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
    """A recording that several models may read; a long one is put into the object store once."""

    def __init__(self, waveform: Waveform) -> None:
        self.waveform = waveform
        self._is_short: bool | None = None
        self._samples: Samples | None = None
        self._reference: ray.ObjectRef[Samples] | None = None
        self._packing: asyncio.Future[object] | None = None

    @property
    def is_short(self) -> bool:
        """Whether the recording is sent directly."""
        if self._is_short is None:
            self._is_short = self.waveform.nbytes <= 2 * DIRECT_BYTES and self._pcm16.nbytes <= DIRECT_BYTES
        return self._is_short

    async def pack(self) -> None:
        """Make the payload of a long recording in a thread: four hours take 2 s, for which nobody waits."""
        if self.is_short:
            return
        if self._packing is None:
            self._packing = asyncio.get_running_loop().run_in_executor(_packers, self._put)
        # Whoever sends the payload tries again, and tells the caller that the store is full.
        with suppress(*STORE_FULL):
            await asyncio.shield(self._packing)

    @property
    def payload(self) -> "Samples | ray.ObjectRef[Samples]":
        """Argument for a handle of `ModelHandle.handle_for`: samples, or a reference to them."""
        return self._pcm16 if self.is_short else self._put()

    @property
    def digest_source(self) -> Samples:
        """Samples that identify the recording: those that are sent, if they have been computed anyway."""
        return self._pcm16 if self.is_short else self.waveform

    @property
    def _pcm16(self) -> Samples:
        if self._samples is None:
            self._samples = to_pcm16(self.waveform)
        return self._samples

    def _put(self) -> "ray.ObjectRef[Samples]":
        if self._reference is None:
            self._reference = ray.put(self._pcm16)
            self._samples = None  # The store has them.
        return self._reference


_packers = ThreadPoolExecutor(2, thread_name_prefix="packing")
"""Threads of their own, because a full object store makes them wait."""


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
