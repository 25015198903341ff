"""Recordings on their way from the ingress to the models: packed, and sent in one of two ways."""

import asyncio
import hashlib
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
import ray
from ray.serve.handle import DeploymentHandle

from deployments.transport.calls import DIRECT_BYTES, direct
from pipelines.pages import give_back_shared, pieces
from pipelines.samples import Samples, to_pcm16
from voxgraph.calls import STORE_FULL
from voxgraph.results import Waveform

STRETCH_SAMPLES = 1 << 23
"""Samples of a long recording that are one object of the store, of 17 or 34 MB: nine minutes."""
INLINE_BYTES = 1 << 20
"""Bytes above which a recording is hashed in a thread; 1 MB takes less than 1 ms."""


class Clip:
    """A recording that several models may read; a long one is put into the object store once."""

    def __init__(self, waveform: Waveform) -> None:
        self.waveform = waveform
        self._is_short: bool | None = None
        self._samples: Samples | None = None
        self._references: tuple[ray.ObjectRef[Samples], ...] = ()
        self._packing: asyncio.Future[object] | None = None
        self._digest: asyncio.Future[bytes] | None = None

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
    def payload(self) -> "Samples | ray.ObjectRef[Samples] | tuple[ray.ObjectRef[Samples], ...]":
        """Argument for a handle of `ModelHandle.handle_for`: samples, or references to their stretches."""
        if self.is_short:
            return self._pcm16
        references = self._put()
        return references[0] if len(references) == 1 else references

    async def digest(self) -> bytes:
        """Return what identifies the recording; it is computed once for all questions about it."""
        if self._digest is None:
            # Of the samples that are sent, if they have been computed anyway.
            source = self._pcm16 if self.is_short else self.waveform
            self._digest = asyncio.ensure_future(recording_digest(source))
        return await asyncio.shield(self._digest)

    @property
    def _pcm16(self) -> Samples:
        if self._samples is None:
            self._samples = to_pcm16(self.waveform)
        return self._samples

    def _put(self) -> "tuple[ray.ObjectRef[Samples], ...]":
        if not self._references:
            starts = range(0, len(self.waveform), STRETCH_SAMPLES)
            stretches = (self.waveform[start : start + STRETCH_SAMPLES] for start in starts)
            # One after the other, so that hours are in memory but once, in the store.
            self._references = tuple(_put_stretch(stretch) for stretch in stretches)
            self._samples = None  # The store has them.
        return self._references


def _put_stretch(stretch: Waveform) -> "ray.ObjectRef[Samples]":
    reference = ray.put(to_pcm16(stretch))
    if len(stretch) == STRETCH_SAMPLES:
        give_back_shared()
    return reference


def _stand_back() -> None:
    """Give this thread the lowest priority of its user, as Linux can: hours are no hurry."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)


_packers = ThreadPoolExecutor(2, thread_name_prefix="packing", initializer=_stand_back)
"""Threads for long recordings alone, because a full object store makes them wait, and so that short ones
find a free thread."""


async def recording_digest(samples: Samples) -> bytes:
    """Return the SHA-256 digest of samples and their type, computed in a thread if they are many."""
    if samples.nbytes > INLINE_BYTES:
        digest = await asyncio.get_running_loop().run_in_executor(_packers, _hashed, samples)
    else:
        digest = _hashed(samples)
    digest.update(samples.dtype.str.encode())
    return digest.digest()


def _hashed(samples: Samples) -> "hashlib._Hash":
    digest = hashlib.sha256()
    for piece in pieces(samples):
        digest.update(np.ascontiguousarray(piece).view(np.uint8).data)
    return digest


class ModelHandle:
    """Two handles of one model: one passes arguments through the object store, the other directly."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self.by_reference, self.direct = handle, direct(handle)

    def handle_for(self, clip: Clip) -> DeploymentHandle:
        """Return the handle that takes `clip.payload`."""
        return self.direct if clip.is_short else self.by_reference

    def answer(self, clip: Clip, *, goes_on: bool = False) -> Any:
        """Call a model whose items are recordings; return a `voxgraph.calls.Response`.

        `goes_on` tells that the clip is a part of a recording that has had its first turn.
        """
        return self.handle_for(clip).answer.remote(clip.payload, goes_on)
