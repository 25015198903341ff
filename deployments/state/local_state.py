"""The state of a graph that runs in one process, without Ray: `deployments.local`, and tests."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator

from config.settings import IngressTunables
from deployments.state.graph_state import CacheSize, GraphState
from deployments.state.jobs import JobBoard
from deployments.state.leases import keep_renewed
from voxgraph.errors import TIMEOUT_MESSAGE, DeadlineExceeded
from voxgraph.graph import CacheInfo, CleanupStatus, Count, Counts, KeyUse, QueueStatus


class LocalJobs:
    """Implements `deployments.api.service.JobStore`."""

    def __init__(self, board: JobBoard) -> None:
        self.open_upload, self.add_piece = board.open_upload, board.add_piece
        self.finish_upload, self.drop_upload = board.finish_upload, board.drop_upload
        self.add_job, self.job, self.piece, self.update = board.add_job, board.job, board.piece, board.update
        self._board = board

    @contextlib.asynccontextmanager
    async def held(self, job_id: str) -> AsyncIterator[None]:
        """Renew a job until the block ends."""
        async with keep_renewed(lambda: self._board.renew(job_id)):
            yield


class LocalState:
    """Implements `deployments.api.service.StateClient`; nothing is cached."""

    def __init__(self) -> None:
        self.graph = GraphState()
        self.slot_deadline_s = IngressTunables().accent_deadline_s
        self.jobs = LocalJobs(self.graph.jobs)
        self._unreported = Counts()

    @contextlib.asynccontextmanager
    async def admitted(self, request_id: str) -> AsyncIterator[None]:
        """Wait for an admission slot and hold it."""
        try:
            async with asyncio.timeout(self.slot_deadline_s):
                lease = uuid.uuid4().hex
                await self.graph.enter(request_id, lease)
                try:
                    yield
                finally:
                    await self.graph.leave(lease)
        except TimeoutError as error:
            raise DeadlineExceeded(TIMEOUT_MESSAGE) from error

    def observe(self, path: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._unreported += Counts({path: Count(1, int(status >= 400), seconds)})

    def observe_key(self, name: str, status: int) -> None:
        """Do nothing: there are no metrics without Ray."""

    @contextlib.asynccontextmanager
    async def using_key(
        self, key: str, per_minute: int | None, at_a_time: int | None
    ) -> AsyncIterator[KeyUse]:
        """Count a request of a key during the block."""
        lease = uuid.uuid4().hex

        async def renew() -> None:
            await self.graph.renew_places(((key, lease),))

        try:
            async with keep_renewed(renew):
                yield await self.graph.use_key(key, per_minute, at_a_time, lease)
        finally:
            await self.graph.give_places_back(((key, lease),))

    async def counts(self) -> Counts:
        """Return the requests since the start."""
        counts, self._unreported = self._unreported, Counts()
        await self.graph.report("local", counts, CacheSize(0, 0, 100))
        return await self.graph.counts()

    async def queue(self) -> QueueStatus:
        """Return the admitted requests and the number that wait."""
        return await self.graph.queue()

    async def cache_info(self) -> CacheInfo:
        """Return the statistics of a cache without entries."""
        return await self.graph.cache_info()

    async def clear_cache(self) -> CacheInfo:
        """Return the same."""
        info, _ = await self.graph.clear_cache()
        return info

    async def forget_results(self) -> None:
        """Do the same."""
        await self.graph.clear_cache()

    async def cleanup_status(self) -> CleanupStatus:
        """Return what the janitor has deleted."""
        return await self.graph.cleanup_status()

    async def clean(self) -> tuple[int, int]:
        """Delete old files of the uploads folder; return their number and their bytes."""
        return await self.graph.clean()
