"""Client of `GraphState` in an ingress replica, with the replica's own result cache.

Counting must not fail a request: if the state cannot be reached, requests are answered and counted later.
Only a request that needs an admission slot waits for the state, until its deadline.
"""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from ray.serve.handle import DeploymentHandle

from config.settings import IngressTunables
from deployments.state.graph_state import HEARTBEAT_S, CacheSize
from deployments.state.job_client import JobClient
from deployments.state.key_client import KeyClient
from deployments.state.leases import keep_renewed
from deployments.state.result_cache import ResultCache
from deployments.transport.calls import direct
from deployments.transport.metrics import CacheMetrics, KeyMetrics
from voxgraph.calls import Deadline, call
from voxgraph.errors import DeadlineExceeded, ModelUnavailable, Overloaded
from voxgraph.graph import CacheInfo, CleanupStatus, Count, Counts, QueueStatus

log = logging.getLogger("ray.serve")

T = TypeVar("T")

_AWAY = (ModelUnavailable, DeadlineExceeded, Overloaded)
"""What a call raises if the state does not answer."""
REPORT_INTERVAL_S = 2.0
"""Seconds between two reports: short for the readers of the counts, long enough to cost almost nothing."""
STATE_TIMEOUT_S = 5.0
"""Timeout of a call to the state, except for admission."""


class GraphStateClient:
    """Gives one ingress replica access to the shared state and to its own result cache.

    Args:
        handle: Handle of `deployments.state.graph_state.GraphState`.
        tunables: Of the ingress: the deadline of requests with an admission slot, and the size of the cache.
    """

    def __init__(self, handle: DeploymentHandle, tunables: IngressTunables) -> None:
        self._tunables = tunables
        self._state = direct(handle)
        self.jobs = JobClient(handle)
        self.using_key = KeyClient(self._state).using
        self._replica = uuid.uuid4().hex
        self._cache = ResultCache(tunables.cache_entries, tunables.cache_bytes)
        self._generation = 0
        self._metrics = CacheMetrics()
        self._key_metrics = KeyMetrics()
        self._unreported = Counts()
        self._reporting: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[None]] = set()

    @property
    def slot_deadline_s(self) -> float:
        """Seconds that a request with an admission slot may take, its wait included."""
        return self._tunables.accent_deadline_s

    def reconfigure(self, tunables: IngressTunables) -> None:
        """Apply new tunables."""
        self._tunables = tunables
        self._cache.resize(tunables.cache_entries, tunables.cache_bytes)

    async def cached(
        self, key: str, question: str, compute: Callable[[], Awaitable[T]], deadline: Deadline
    ) -> T:
        """Return the cached result of a key, or compute and cache it.

        Args:
            key: Key from `deployments.state.result_cache.cache_key`.
            question: Name of the question in the statistics.
            compute: Computes the result; its errors are raised and not cached.
            deadline: When to stop waiting for an identical question in flight.

        Raises:
            DeadlineExceeded: The deadline passed.
        """
        async with deadline.timeout():
            result, hit = await self._cache.get_or_compute(key, lambda: self._timed(question, compute))
        self._metrics.record_lookup(question, hit=hit)
        self._count(Counts(cache_hits=int(hit), cache_misses=int(not hit)))
        return result

    @contextlib.asynccontextmanager
    async def admitted(self, request_id: str) -> AsyncIterator[None]:
        """Hold an admission slot during the block; the wait for the slot and the block share a deadline.

        While the request runs, ``/queue-status`` shows `request_id`.

        Raises:
            Overloaded: The queue is full.
            DeadlineExceeded: The deadline passed.
        """
        state, seconds = self._state, self.slot_deadline_s
        deadline = Deadline.after(seconds)
        lease = await self._entered(request_id, deadline)
        try:
            async with asyncio.timeout_at(deadline.at), keep_renewed(lambda: state.renew.remote(lease)):
                yield
        except TimeoutError as error:
            raise DeadlineExceeded(f"The answer was not ready within {seconds:g} s.") from error
        finally:
            self._call_in_background(lambda: state.leave.remote(lease))

    async def _entered(self, request_id: str, deadline: Deadline) -> str:
        """Wait for a slot and return its lease.

        The lease is chosen here: whoever leaves while the answer that there is a slot is on its way gives it
        back. Otherwise a few clients that hang up would close the graph until their leases have expired.
        """
        state, lease = self._state, uuid.uuid4().hex
        try:
            await call(lambda: state.enter.remote(request_id, lease), deadline)
        except Overloaded:  # There was no slot.
            raise
        except BaseException:
            self._call_in_background(lambda: state.leave.remote(lease))
            raise
        return lease

    def observe(self, path: str, status: int, seconds: float) -> None:
        """Count one answered request; it is reported to the state within `REPORT_INTERVAL_S`."""
        self._count(Counts(requests={path: Count(1, int(status >= 400), seconds)}))

    def observe_key(self, name: str, status: int) -> None:
        """Count an answered request of an API key in the metrics."""
        self._key_metrics.record_answer(name, status)

    async def counts(self) -> Counts:
        """Return the counts of all ingress replicas, up to date for this one."""
        await self._report()
        counts: Counts = await self._call(self._state.counts.remote)
        return counts

    async def cache_info(self) -> CacheInfo:
        """Return the statistics of the result caches of all ingress replicas."""
        await self._report()
        info: CacheInfo = await self._call(self._state.cache_info.remote)
        return info

    async def clear_cache(self) -> CacheInfo:
        """Clear this replica's cache now and the others after their next report; return prior statistics."""
        await self._report()
        info: CacheInfo
        info, generation = await self._call(self._state.clear_cache.remote)
        self._adopt_generation(generation)
        return info

    async def forget_results(self) -> None:
        """Clear this replica's cache now, and those of the others as soon as the state can be told.

        It never fails: who erased a voice has to have the receipt although the state does not answer.
        """
        self._cache.clear()
        try:
            await self.clear_cache()
        except _AWAY as error:
            log.warning("The other result caches are cleared once the state answers: %s", error)
            self._in_background(self._clear_once_it_answers())

    async def _clear_once_it_answers(self) -> None:
        while True:
            await asyncio.sleep(REPORT_INTERVAL_S)
            with contextlib.suppress(*_AWAY):
                await self.clear_cache()
                return

    async def queue(self) -> QueueStatus:
        """Return the running requests, the queue length and the limits."""
        status: QueueStatus = await self._call(self._state.queue.remote)
        return status

    async def cleanup_status(self) -> CleanupStatus:
        """Return the janitor's folder and settings, and what it has deleted."""
        status: CleanupStatus = await self._call(self._state.cleanup_status.remote)
        return status

    async def clean(self) -> tuple[int, int]:
        """Delete old files of the uploads folder now; return their number and their bytes."""
        deleted: tuple[int, int] = await self._call(self._state.clean.remote)
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
        """Report new counts; every `HEARTBEAT_S` in any case, to learn whether to clear the cache."""
        waited_s = 0.0
        while True:
            await asyncio.sleep(REPORT_INTERVAL_S)
            waited_s += REPORT_INTERVAL_S
            if self._unreported != Counts() or waited_s >= HEARTBEAT_S:
                waited_s = 0.0
                with contextlib.suppress(*_AWAY):
                    await self._report()

    async def _report(self) -> None:
        """Send the counts since the last report; if that fails, the next report includes them."""
        counts, self._unreported = self._unreported, Counts()
        cache = CacheSize(self._generation, len(self._cache), self._tunables.cache_entries)
        try:
            generation = await self._call(lambda: self._state.report.remote(self._replica, counts, cache))
        except BaseException:
            self._unreported += counts
            raise
        self._adopt_generation(generation)

    def _adopt_generation(self, generation: int) -> None:
        """Clear the cache if a new generation has started; a new replica adopts its first one as it is."""
        if generation > self._generation:
            if self._generation:
                self._cache.clear()
            self._generation = generation

    async def _call(self, start: Callable[[], Any]) -> Any:
        return await call(start, Deadline.after(STATE_TIMEOUT_S))

    def _call_in_background(self, start: Callable[[], Any]) -> None:
        """Make a call without waiting for it; it may fail, since leases expire anyway."""

        async def send() -> None:
            with contextlib.suppress(Exception):
                await self._call(start)

        self._in_background(send())

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
