"""How an ingress replica uses what all of them share: cache, admission, statistics.

Cache and statistics may not cost an answer: where they cannot be reached, requests are answered without
them. Where admission cannot, what needs a place waits for one until its deadline.
"""

import asyncio
import contextlib
import hashlib
import pickle
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np
from ray.serve.handle import DeploymentHandle

from deployments.admission import QueueStatus
from deployments.cache import LOOK_S, CacheInfo, Put, Taken
from deployments.calls import DIRECT_BYTES, Deadline, call, direct
from deployments.clips import Samples
from deployments.leases import renewing
from deployments.metrics import CacheMetrics
from deployments.statistics import CleanupStatus, Count, Counts
from pipelines.errors import DeadlineExceeded, ModelUnavailable, Overloaded

T = TypeVar("T")

CACHE_ANSWERS_S = LOOK_S + 1.0
"""Seconds after which the cache is taken for gone: a router waits for a replica as long as it may."""
CACHE_GONE_S = 1.0
"""Seconds for which a cache that did not answer is not asked again."""
REPORTED_EVERY_S = 2.0
"""Often enough for who reads them, seldom enough to cost a request next to nothing."""
PUT_WITHIN_S = 0.1
"""Seconds that an answer waits at most for the next question, whose call to the cache takes it along: a call
of its own costs 3 ms of processor time."""
ASKED_FOR_S = 5.0
"""Deadline of a question about the graph itself."""
KNOWN_QUESTIONS = 4096
"""Of which an ingress replica remembers that it was asked them."""
GUESSES_AGAIN_S = 60.0
"""Seconds after another replica's answer was found in which the models wait for what the cache says."""
INLINE_BYTES = 1 << 20
"""More than so many bytes are hashed in a thread: a megabyte takes under a millisecond."""


@dataclass(frozen=True, slots=True)
class SharedHandles:
    """Handles of the three deployments."""

    cache: DeploymentHandle
    admission: DeploymentHandle
    statistics: DeploymentHandle


class Shared:
    """The three deployments as one ingress replica sees them.

    Args:
        handles: Of the three.
        place_deadline_s: Seconds that `admitted` gives.
    """

    def __init__(self, handles: SharedHandles, place_deadline_s: float) -> None:
        self.place_deadline_s = place_deadline_s
        self._cache, self._admission, self._statistics = (
            direct(handle) for handle in (handles.cache, handles.admission, handles.statistics)
        )
        self._large = handles.cache
        """For values that do not go directly."""
        self._metrics = CacheMetrics()
        self._puts: list[Put] = []
        self._cache_back_at = 0.0
        """When the cache is asked again, in the time of the event loop."""
        self._known: OrderedDict[str, None] = OrderedDict()
        self._guesses_at = 0.0
        """When it is taken again that what is not known has no answer, in the time of the event loop."""
        self._requests: dict[str, Count] = {}
        self._inferences: dict[str, Count] = {}
        self._reporting: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[None]] = set()

    async def cached(
        self, key: str, question: str, compute: Callable[[], Awaitable[T]], deadline: Deadline
    ) -> T:
        """The answer kept under a key, or what `compute` gives; an identical request in flight is waited for.

        Args:
            key: Of `key_of`.
            question: Its name in the statistics.
            compute: Of a new question called before the cache has spoken, which saves a hop; cancelled where
                another replica has the answer or is about to.
            deadline: When to give up waiting; `compute` has its own.

        Raises:
            VoxError: What `compute` raises; it is not kept.
        """
        begun = _Begun(compute, at_once=self._is_new(key))
        try:
            taken = await self._taken(key, deadline, begun)
            if taken is None:
                return await self._timed(question, begun)
            self._metrics.looked(question, hit=taken.lease is None)
            if taken.lease is None:
                self._let_go(begun)
                value: T = pickle.loads(taken.value)
                return value
            try:
                async with renewing(lambda: self._cache.renew.remote(taken.lease)):
                    value = await self._timed(question, begun)
            except BaseException:
                self._later(lambda: self._cache.give_up.remote(taken.lease))
                raise
        finally:
            begun.cancel()
        # Once the caller has it.
        asyncio.get_running_loop().call_soon(self._put, taken.lease, value)
        return value

    def _is_new(self, key: str) -> bool:
        """Whether this replica was never asked it, so that hardly any has its answer."""
        is_known = key in self._known
        self._known[key] = None
        self._known.move_to_end(key)
        if len(self._known) > KNOWN_QUESTIONS:
            self._known.popitem(last=False)
        return not is_known and asyncio.get_running_loop().time() >= self._guesses_at

    def _let_go(self, begun: "_Begun[T]") -> None:
        """Another has the answer, or is about to."""
        if begun.is_under_way:
            self._guesses_at = asyncio.get_running_loop().time() + GUESSES_AGAIN_S
            begun.cancel()

    def _put(self, lease: str, value: object) -> None:
        data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        if len(data) > DIRECT_BYTES:
            self._later(lambda: self._large.put.remote(Put(lease, data, apart=True)))
            return
        self._put_soon([Put(lease, data)])

    def _put_soon(self, puts: Sequence[Put]) -> None:
        if puts and not self._puts:
            asyncio.get_running_loop().call_later(PUT_WITHIN_S, self._put_now)
        self._puts.extend(puts)
        if sum(len(put.value) for put in self._puts) > DIRECT_BYTES:
            self._put_now()

    def _put_now(self) -> None:
        if puts := self._taken_along():
            self._later(lambda: self._cache.put.remote(*puts))

    def _taken_along(self) -> list[Put]:
        puts, self._puts = self._puts, []
        return puts

    async def _taken(self, key: str, deadline: Deadline, begun: "_Begun[T]") -> Taken | None:
        """The value of a key or a lease to compute it; None where the cache does not answer.

        While another computes it, what was begun here is let go.

        Raises:
            DeadlineExceeded: Of the question.
        """
        loop = asyncio.get_running_loop()
        while loop.time() >= self._cache_back_at:
            soon = Deadline.after(min(CACHE_ANSWERS_S, deadline.left()))
            try:
                taken = await self._take(key, soon, wait=not begun.is_under_way)
                if taken.apart:
                    value = await call(lambda: self._large.fetch.remote(key), soon)
                    return None if value is None else Taken(value)
            except (ModelUnavailable, Overloaded, DeadlineExceeded) as error:
                if isinstance(error, DeadlineExceeded):
                    deadline.left()
                self._cache_back_at = loop.time() + CACHE_GONE_S
            else:
                if not taken.pending:
                    return taken
                self._let_go(begun)
        return None

    async def _take(self, key: str, soon: Deadline, *, wait: bool) -> Taken:
        """Ask the cache; what others put goes along, and stays here where the call comes to nothing."""
        puts = self._taken_along()
        try:
            taken: Taken = await call(partial(self._cache.take.remote, key, *puts, wait=wait), soon)
        except BaseException:
            self._put_soon(puts)
            raise
        return taken

    @contextlib.asynccontextmanager
    async def admitted(self, request_id: str) -> AsyncIterator[None]:
        """A place among the running requests of the whole graph; the wait and the block share a deadline.

        Args:
            request_id: Shown while it runs.

        Raises:
            Overloaded: As many wait as may.
            DeadlineExceeded: The time is over.
        """
        admission, seconds = self._admission, self.place_deadline_s
        deadline = Deadline.after(seconds)
        lease = await call(lambda: admission.enter.remote(request_id), deadline)
        try:
            async with asyncio.timeout_at(deadline.at), renewing(lambda: admission.renew.remote(lease)):
                yield
        except TimeoutError as error:
            raise DeadlineExceeded(f"The answer was not ready within {seconds:g} s.") from error
        finally:
            self._later(lambda: admission.leave.remote(lease))

    def observe(self, path: str, status: int, seconds: float) -> None:
        """Count one answered request; the graph's statistics have it a moment later."""
        count = Count(1, int(status >= 400), seconds)
        self._requests[path] = self._requests.get(path, Count()) + count
        self._report_soon()

    async def counts(self) -> Counts:
        """What all ingress replicas have counted; this one's own to the last request."""
        await self._report()
        counts: Counts = await self._ask(self._statistics.counts.remote)
        return counts

    async def cache_info(self) -> CacheInfo:
        """Hits, misses and size."""
        info: CacheInfo = await self._ask(self._cache.info.remote)
        return info

    async def clear_cache(self) -> CacheInfo:
        """Forget every answer; says what there was."""
        info: CacheInfo = await self._ask(self._cache.clear.remote)
        return info

    async def queue(self) -> QueueStatus:
        """Who runs and who waits."""
        status: QueueStatus = await self._ask(self._admission.status.remote)
        return status

    async def cleanup_status(self) -> CleanupStatus:
        """What the janitor looks after."""
        status: CleanupStatus = await self._ask(self._statistics.cleanup_status.remote)
        return status

    async def clean(self) -> tuple[int, int]:
        """Delete what is too old in the uploads folder: files, bytes."""
        deleted: tuple[int, int] = await self._ask(self._statistics.clean.remote)
        return deleted

    async def _ask(self, start: Callable[[], Any]) -> Any:
        return await call(start, Deadline.after(ASKED_FOR_S))

    async def _timed(self, question: str, begun: "_Begun[T]") -> T:
        started, failed = begun.started, 1
        try:
            value = await begun()
            failed = 0
            return value
        finally:
            count = Count(1, failed, time.perf_counter() - started)
            self._inferences[question] = self._inferences.get(question, Count()) + count
            self._report_soon()

    def _report_soon(self) -> None:
        if self._reporting is None or self._reporting.done():
            self._reporting = asyncio.create_task(self._report_later())

    async def _report_later(self) -> None:
        while self._requests or self._inferences:
            await asyncio.sleep(REPORTED_EVERY_S)
            with contextlib.suppress(ModelUnavailable, DeadlineExceeded, Overloaded):
                await self._report()

    async def _report(self) -> None:
        """Send what was counted since; where it does not arrive it is sent with the next."""
        counts = Counts(self._requests, self._inferences)
        if not counts.requests and not counts.inferences:
            return
        self._requests, self._inferences = {}, {}
        try:
            await self._ask(lambda: self._statistics.add.remote(counts))
        except BaseException:
            for mine, unsent in ((self._requests, counts.requests), (self._inferences, counts.inferences)):
                for key, count in unsent.items():
                    mine[key] = mine.get(key, Count()) + count
            raise

    def _later(self, start: Callable[[], Any]) -> None:
        """Make a call that nobody waits for; its failure changes nothing: leases lapse by themselves."""

        async def send() -> None:
            with contextlib.suppress(Exception):
                await self._ask(start)

        task = asyncio.create_task(send())
        self._background.add(task)
        task.add_done_callback(self._background.discard)


class _Begun(Generic[T]):
    """A computation that may be under way before it is wanted.

    Args:
        compute: Called for each computation.
        at_once: Begin now.
    """

    def __init__(self, compute: Callable[[], Awaitable[T]], *, at_once: bool) -> None:
        self._compute = compute
        self._task: asyncio.Future[T] | None = None
        self._started = time.perf_counter()
        if at_once:
            self._task = asyncio.ensure_future(compute())
            # Where nobody wants it, nobody wants its failure.
            self._task.add_done_callback(lambda done: done.cancelled() or done.exception())

    @property
    def is_under_way(self) -> bool:
        """Whether it was begun and not cancelled."""
        return self._task is not None

    @property
    def started(self) -> float:
        """When what is under way was begun, else now, in seconds of `time.perf_counter`."""
        return self._started if self.is_under_way else time.perf_counter()

    async def __call__(self) -> T:
        """What it gives; what is not under way is computed now."""
        return await (self._task or self._compute())

    def cancel(self) -> None:
        """Stop what is under way; called after that, it is computed anew."""
        if self._task is not None:
            self._task.cancel()
            self._task = None


async def key_of(samples: Samples, *about: object) -> str:
    """A digest of a recording, what is asked of it and which checkpoints answer, 64 hex digits."""
    data = np.ascontiguousarray(samples).view(np.uint8).data
    if len(data) > INLINE_BYTES:
        digest = await asyncio.to_thread(hashlib.sha256, data)
    else:
        digest = hashlib.sha256(data)
    digest.update(repr((samples.dtype.str, *about)).encode())
    return digest.hexdigest()
