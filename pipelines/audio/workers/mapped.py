"""Keep long waveforms, which are mapped from files in memory, out of the memory of whoever reads them."""

import asyncio
import mmap
import weakref

from pipelines.pages import PIECE_BYTES, mapping_of
from voxgraph.results import Waveform

GIVE_BACK_S = 0.5
"""Seconds after which the pages that were read are given back."""


class MappedWaveforms:
    """Gives back the pages of long waveforms while they live, whoever reads them.

    A long recording is read again and again, window by window, until its answer is there. Its pages come back
    when they are read; who reads all of it at once takes `pipelines.pages.pieces`.
    """

    def __init__(self) -> None:
        self._mappings = weakref.WeakSet[mmap.mmap]()
        self._task: asyncio.Task[None] | None = None

    def add(self, waveform: Waveform) -> None:
        """Look after a waveform until nobody has it any more; a short one is left alone."""
        mapping = mapping_of(waveform)
        if mapping is None or len(mapping) <= PIECE_BYTES:
            return
        self._mappings.add(mapping)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._give_back())

    def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()

    async def _give_back(self) -> None:
        while self._mappings:
            await asyncio.sleep(GIVE_BACK_S)
            for mapping in tuple(self._mappings):
                mapping.madvise(mmap.MADV_DONTNEED)
