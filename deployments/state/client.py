"""How an ingress replica uses the state of the graph, and the result cache of its own.

Counting may not cost an answer: where the state cannot be reached, requests are answered and counted later.
A request that needs a place waits for one until its deadline.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from ray.serve.handle import DeploymentHandle

from deployments.state.graph_state import HEARTBEAT_S, CacheSize
from deployments.state.leases import renewing
from deployments.state.result_cache import ResultCache
from deployments.transport.calls import direct
from deployments.transport.metrics import CacheMetrics
from voxgraph.calls import Deadline, call
from voxgraph.errors import DeadlineExceeded, ModelUnavailable, Overloaded
from voxgraph.graph import CacheInfo, CleanupStatus, Count, Counts, QueueStatus

T = TypeVar("T")

REPORT_INTERVAL_S = 2.0
"""Often enough for the readers of the counts, seldom enough to cost a request next to nothing."""
STATE_TIMEOUT_S = 5.0
"""Deadline of a question about the graph itself."""


class GraphStateClient:
    """The state of the graph as one ingress replica sees it.

    Args:
        handle: Handle of `deployments.state.graph_state.GraphState`.
        place_deadline_s: Seconds that a request which needs a place may take, its wait included.
        cache_entries: Results that this replica keeps.
    """

    def __init__(self, handle: DeploymentHandle, place_deadline_s: float, cache_entries: int) -> None:
        self.place_deadline_s = place_deadline_s
        self._state = direct(handle)
        self._replica = uuid.uuid4().hex
        self._cache = ResultCache(cache_entries)
        self._cache_entries = cache_entries
        self._generation = 0
        self._metrics = CacheMetrics()
        self._unreported = Counts()
        self._reporting: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[None]] = set()

    def reconfigure(self, place_deadline_s: float, cache_entries: int) -> None:
        """Take new values of the constructor's arguments."""
        self.place_deadline_s, self._cache_entries = place_deadline_s, cache_entries
        self._cache.resize(cache_entries)

    async def cached(
        self, key: str, question: str, compute: Callable[[], Awaitable[T]], deadline: Deadline
    ) -> T:
        """Return the kept result of a key, or what `compute` gives.

        Args:
            key: Key from `deployments.state.result_cache.key_of`.
            question: Name of the question in the statistics.
            compute: Computes the result; what it raises is raised and not kept.
            deadline: When to stop waiting for an identical question in flight.

        Raises:
            DeadlineExceeded: The deadline passed.
        """
        async with deadline.timeout():
            result, hit = await self._cache.get_or_compute(key, lambda: self._timed(question, compute))
        self._metrics.looked(question, hit=hit)
        self._count(Counts(cache_hits=int(hit), cache_misses=int(not hit)))
        return result

    @contextlib.asynccontextmanager
    async def admitted(self, request_id: str) -> AsyncIterator[None]:
        """Hold a place among the running requests of the graph; the wait and the block share a deadline.

        Args:
            request_id: Shown by ``/queue-status`` while it runs.

        Raises:
            Overloaded: As many requests wait as may.
            DeadlineExceeded: The deadline passed.
        """
        state, seconds = self._state, self.place_deadline_s
        deadline = Deadline.after(seconds)
        lease = await call(lambda: state.enter.remote(request_id), deadline)
        try:
            async with asyncio.timeout_at(deadline.at), renewing(lambda: state.renew.remote(lease)):
                yield
        except TimeoutError as error:
            raise DeadlineExceeded(f"The answer was not ready within {seconds:g} s.") from error
        finally:
            self._in_background(lambda: state.leave.remote(lease))

    def observe(self, path: str, status: int, seconds: float) -> None:
        """Count one answered request; the graph's counts include it a moment later."""
        self._count(Counts(requests={path: Count(1, int(status >= 400), seconds)}))

    async def counts(self) -> Counts:
        """Return what all ingress replicas have counted, this one's counts to the last request."""
        await self._report()
        counts: Counts = await self._ask(self._state.counts.remote)
        return counts

    async def cache_info(self) -> CacheInfo:
        """Return the statistics of the result caches of all ingress replicas."""
        await self._report()
        info: CacheInfo = await self._ask(self._state.cache_info.remote)
        return info

    async def clear_cache(self) -> CacheInfo:
        """Clear the caches, this replica's at once and others with their next report.

        Returns:
            The statistics until then.
        """
        await self._report()
        info: CacheInfo
        info, generation = await self._ask(self._state.clear_cache.remote)
        self._enter_generation(generation)
        return info

    async def queue(self) -> QueueStatus:
        """Return the requests that have a place, and how many wait."""
        status: QueueStatus = await self._ask(self._state.queue.remote)
        return status

    async def cleanup_status(self) -> CleanupStatus:
        """Return the janitor's folder and what it has deleted."""
        status: CleanupStatus = await self._ask(self._state.cleanup_status.remote)
        return status

    async def clean(self) -> tuple[int, int]:
        """Delete old files of the uploads folder now; returns their number and their bytes."""
        deleted: tuple[int, int] = await self._ask(self._state.clean.remote)
        return deleted

    async def _timed(self, question: str, compute: Callable[[], Awaitable[T]]) -> T:
        started, failed = time.perf_counter(), 1
        try:
            result = await compute()
            failed = 0
            return result
        finally:
            self._count(Counts(inferences={question: Count(1, failed, time.perf_counter() - started)}))

    def _count(self, counts: Counts) -> None:
        self._unreported += counts
        if self._reporting is None or self._reporting.done():
            self._reporting = asyncio.create_task(self._report_periodically())

    async def _report_periodically(self) -> None:
        """Report what was counted; every `HEARTBEAT_S` in any case, to learn whether to clear the cache."""
        waited_s = 0.0
        while True:
            await asyncio.sleep(REPORT_INTERVAL_S)
            waited_s += REPORT_INTERVAL_S
            if self._unreported != Counts() or waited_s >= HEARTBEAT_S:
                waited_s = 0.0
                with contextlib.suppress(ModelUnavailable, DeadlineExceeded, Overloaded):
                    await self._report()

    async def _report(self) -> None:
        """Send what was counted since the last report; what does not arrive is sent with the next."""
        counts, self._unreported = self._unreported, Counts()
        cache = CacheSize(self._generation, len(self._cache), self._cache_entries)
        try:
            generation = await self._ask(lambda: self._state.report.remote(self._replica, counts, cache))
        except BaseException:
            self._unreported += counts
            raise
        self._enter_generation(generation)

    def _enter_generation(self, generation: int) -> None:
        """Clear the cache of an older generation; a new replica's belongs to the first that it learns."""
        if generation > self._generation:
            if self._generation:
                self._cache.clear()
            self._generation = generation

    async def _ask(self, start: Callable[[], Any]) -> Any:
        return await call(start, Deadline.after(STATE_TIMEOUT_S))

    def _in_background(self, start: Callable[[], Any]) -> None:
        """Make a call that nobody waits for; if it fails, the lease lapses by itself."""

        async def send() -> None:
            with contextlib.suppress(Exception):
                await self._ask(start)

        task = asyncio.create_task(send())
        self._background.add(task)
        task.add_done_callback(self._background.discard)
