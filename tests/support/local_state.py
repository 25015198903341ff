"""An in-process graph state, for tests of the HTTP application without Ray."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from deployments.state.graph_state import CacheSize, GraphState
from voxgraph.errors import DeadlineExceeded
from voxgraph.graph import CacheInfo, CleanupStatus, Count, Counts, QueueStatus


class LocalState:
    def __init__(self) -> None:
        self.graph = GraphState()
        self.slot_deadline_s = 30.0
        self._unreported = Counts()

    @contextlib.asynccontextmanager
    async def admitted(self, request_id: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self.slot_deadline_s):
                lease = await self.graph.enter(request_id)
                try:
                    yield
                finally:
                    await self.graph.leave(lease)
        except TimeoutError as error:
            raise DeadlineExceeded("The answer was not ready in time.") from error

    def observe(self, path: str, status: int, seconds: float) -> None:
        self._unreported += Counts({path: Count(1, int(status >= 400), seconds)})

    async def counts(self) -> Counts:
        counts, self._unreported = self._unreported, Counts()
        await self.graph.report("local", counts, CacheSize(0, 0, 100))
        return await self.graph.counts()

    async def queue(self) -> QueueStatus:
        return await self.graph.queue()

    async def cache_info(self) -> CacheInfo:
        return await self.graph.cache_info()

    async def clear_cache(self) -> CacheInfo:
        info, _ = await self.graph.clear_cache()
        return info

    async def cleanup_status(self) -> CleanupStatus:
        return await self.graph.cleanup_status()

    async def clean(self) -> tuple[int, int]:
        return await self.graph.clean()
