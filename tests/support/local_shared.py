"""Cache, admission and statistics in this process, for an application without Ray."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from deployments.admission import Admission, QueueStatus
from deployments.cache import Cache, CacheInfo
from deployments.statistics import CleanupStatus, Count, Counts, Statistics
from pipelines.errors import DeadlineExceeded


class LocalShared:
    def __init__(self) -> None:
        self.cache = Cache()
        self.admission = Admission()
        self.statistics = Statistics()
        self.place_deadline_s = 30.0
        self._unreported: list[Counts] = []

    @contextlib.asynccontextmanager
    async def admitted(self, request_id: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self.place_deadline_s):
                lease = await self.admission.enter(request_id)
                try:
                    yield
                finally:
                    await self.admission.leave(lease)
        except TimeoutError as error:
            raise DeadlineExceeded("The answer was not ready in time.") from error

    def observe(self, path: str, status: int, seconds: float) -> None:
        self._unreported.append(Counts({path: Count(1, int(status >= 400), seconds)}))

    async def counts(self) -> Counts:
        for counts in self._unreported:
            await self.statistics.add(counts)
        self._unreported.clear()
        return await self.statistics.counts()

    async def queue(self) -> QueueStatus:
        return await self.admission.status()

    async def cache_info(self) -> CacheInfo:
        return await self.cache.info()

    async def clear_cache(self) -> CacheInfo:
        return await self.cache.clear()

    async def cleanup_status(self) -> CleanupStatus:
        return await self.statistics.cleanup_status()

    async def clean(self) -> tuple[int, int]:
        return await self.statistics.clean()
