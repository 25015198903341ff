"""Adaptive batcher: it forms a batch only when the engine is free, and lets long recordings take turns.

It uses asyncio only. Ray's ``serve.batch`` forms batches by a time window alone and queues complete batches;
here the next batch grows while the engine is busy, and an idle engine takes a single item at once.
"""

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from typing import Final, Generic, Literal, TypeVar

from config.settings import BatchTunables
from voxgraph.errors import InferenceError, ModelUnavailable, VoxError

log = logging.getLogger("ray.serve")

Item = TypeVar("Item")
Result = TypeVar("Result")


class Progress(Enum):
    """What `run` may return for an item instead of its result."""

    UNFINISHED = "unfinished"
    """The item needs another turn: `run` is called with it again."""


UNFINISHED: Final = Progress.UNFINISHED
FAILED: Final = "The model failed on this recording."


@dataclass(frozen=True, slots=True)
class BatchReport:
    """Figures of one batch that was answered."""

    items: int
    cost_s: float
    """Seconds of audio in the items."""
    padded_s: float
    """Seconds of audio that were computed: the longest item times the number of items."""
    waited_s: float
    """Time in seconds that the oldest item waited."""
    ran_s: float
    """Duration of `run` in seconds."""


@dataclass(slots=True, eq=False)
class _Request(Generic[Item, Result]):
    """The items of one caller, such as the pieces of a recording, and the future of their results."""

    items: Sequence[Item]
    costs: Sequence[float]
    """Seconds of audio in each item."""
    future: "asyncio.Future[list[Result]]"
    queued_at: float
    """When an item of it began to wait, in seconds on the clock of the event loop."""
    waiting: deque[int] = field(default_factory=deque)
    """Numbers of the items that wait."""
    results: dict[int, Result] = field(default_factory=dict)
    """Results by number of the item."""
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    """Context of the caller, so that log lines about the items carry the id of its request."""

    @property
    def left_s(self) -> float:
        """Seconds of audio in the items that have no result yet."""
        return sum(cost for number, cost in enumerate(self.costs) if number not in self.results)


@dataclass(frozen=True, slots=True, eq=False)
class _Turn(Generic[Item, Result]):
    """An item that is to run."""

    request: _Request[Item, Result]
    number: int
    """Number of the item."""
    rank: int
    """Number of items of the same recording that wait before it."""

    @property
    def item(self) -> Item:
        return self.request.items[self.number]

    @property
    def cost(self) -> float:
        return self.request.costs[self.number]

    @property
    def is_wanted(self) -> bool:
        """Whether the caller still waits."""
        return not self.request.future.done()


class Batcher(Generic[Item, Result]):
    """Queues items for one engine thread and runs them in batches.

    Recordings of several items take turns. There are two lines: recordings that have not begun, in the order
    of their arrival, and those that go on, each of which goes to the end of its line after its turn. The
    heads of both lines are alternately the head of the next batch, so none starves: a new recording waits for
    the running batch and at most one other for every new one before it, however many hours others have. The
    items nearest in cost to the head join it as long as the padded cost stays within the budget. An item over
    the budget runs alone. A batch that fails is run again item by item, so that only the culprits fail; one
    that runs out of memory is halved. Items whose caller has left are skipped. Create a batcher inside a
    running event loop.

    Args:
        run: Maps a list of items to the list of their results, or `UNFINISHED`; only the engine thread calls
            it.
        cost: Returns the seconds of audio in an item.
        tunables: The budget of a batch.
        is_out_of_memory: Whether an error of `run` means that the batch was too large for the device.
        best_items: Maximum number of items in a batch if `tunables` do not set it.
        on_batch: Called after each batch whose callers were answered; it must not raise.
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Sequence[Result | Literal[Progress.UNFINISHED]]],
        cost: Callable[[Item], float],
        tunables: BatchTunables,
        *,
        is_out_of_memory: Callable[[BaseException], bool] = lambda _: False,
        best_items: int = 32,
        on_batch: Callable[[BatchReport], None] = lambda _: None,
    ) -> None:
        self._run = run
        self._cost = cost
        self._tunables = tunables
        self._is_out_of_memory = is_out_of_memory
        self._best_items = best_items
        self._on_batch = on_batch
        self._budget_s = tunables.max_batch_s
        self._new: list[_Request[Item, Result]] = []
        self._begun: list[_Request[Item, Result]] = []
        self._passed_over = False
        """Whether a new recording had its turn last while others waited to go on."""
        self._arrived = asyncio.Event()
        self._running: list[_Turn[Item, Result]] = []
        self._engine = ThreadPoolExecutor(1, thread_name_prefix="engine")
        # An empty context: in that of the first request, all log lines of the loop would carry its id.
        self._loop_task = asyncio.create_task(self._run_loop(), context=contextvars.Context())

    @property
    def queued(self) -> int:
        """Number of items in the queue."""
        return sum(len(request.waiting) for request in (*self._new, *self._begun))

    @property
    def running(self) -> int:
        """Number of items in the running batch."""
        return len(self._running)

    def load(self) -> tuple[int, float]:
        """Return the number of recordings that wait or run for a caller, and the seconds of audio left."""
        running = [turn.request for turn in self._running]
        requests = {id(request): request for request in (*running, *self._new, *self._begun)}
        left = [request.left_s for request in requests.values() if not request.future.done()]
        return len(left), sum(left)

    def reconfigure(self, tunables: BatchTunables) -> None:
        """Use a new budget from the next batch on."""
        self._tunables = tunables
        self._budget_s = tunables.max_batch_s

    def check_alive(self) -> None:
        """Raise `ModelUnavailable` if the batcher is closed, its loop has ended, or its model is stuck."""
        if self._loop_task.done():
            raise ModelUnavailable("The replica's batcher has stopped.")

    async def submit(self, item: Item) -> Result:
        """Answer one item.

        Raises:
            ModelUnavailable: The batcher is closed.
            InferenceError: `run` failed for this item with an error that is not a `VoxError`.
        """
        (result,) = await self.submit_all([item])
        return result

    async def submit_all(self, items: Sequence[Item], *, goes_on: bool = False) -> list[Result]:
        """Answer all items of a recording, in their order; a caller who leaves ends it at the next item.

        Args:
            items: At least one.
            goes_on: Whether these are a later part of a recording, which has had its first turn.

        Raises:
            ModelUnavailable: The batcher is closed.
            InferenceError: `run` failed for an item with an error that is not a `VoxError`.
        """
        self.check_alive()
        loop = asyncio.get_running_loop()
        costs = [self._cost(item) for item in items]
        request = _Request[Item, Result](items, costs, loop.create_future(), loop.time())
        request.waiting.extend(range(len(items)))
        (self._begun if goes_on else self._new).append(request)
        self._arrived.set()
        return await request.future

    async def close(self) -> None:
        """Stop now: items that run or wait fail with `ModelUnavailable`."""
        self._loop_task.cancel()
        await asyncio.gather(self._loop_task, return_exceptions=True)
        for request in [*(turn.request for turn in self._running), *self._new, *self._begun]:
            _fail(request, ModelUnavailable("The replica is being stopped."))
        self._new.clear()
        self._begun.clear()
        self._engine.shutdown(wait=False)

    async def _run_loop(self) -> None:
        """Run batches until the batcher is closed or the model is stuck; no other failure ends this loop.

        If the model is stuck, the running batch fails. The queue is left as it is: Serve replaces the
        replica, and callers, whose calls fail when it is killed, retry on another one.
        """
        while True:
            await self._arrived.wait()
            self._running = self._form_batch()
            if self._running:
                try:
                    await self._run_batch(self._running)
                except _Stuck as error:
                    log.error(error.detail)
                    for turn in self._running:
                        _fail(turn.request, ModelUnavailable(error.detail))
                    return
                except Exception as error:
                    log.exception("A batch failed outside the model")
                    for turn in self._running:
                        _fail(turn.request, _to_vox_error(error))
            self._running = []
            if not self._new and not self._begun:
                self._arrived.clear()

    def _form_batch(self) -> list[_Turn[Item, Result]]:
        """Take the next recording's item and those nearest to it in cost, within the budget."""
        for line in (self._new, self._begun):
            line[:] = [request for request in line if not request.future.done()]
        if not self._new and not self._begun:
            return []
        most = self._tunables.max_batch_items or self._best_items
        line = self._begun if self._begun and (self._passed_over or not self._new) else self._new
        self._passed_over = line is self._new and bool(self._begun)
        first, *others = _next_turns(line[0], most)
        for request in (*self._new, *self._begun):
            if request is not line[0]:
                others += _next_turns(request, most)
        # Of items that are equally near, the first of every recording come first.
        others.sort(key=lambda turn: (abs(turn.cost - first.cost), turn.rank))
        batch, high = [first], first.cost
        for turn in others:
            longest = max(high, turn.cost)
            if len(batch) >= most or longest * (len(batch) + 1) > self._budget_s:
                break
            batch.append(turn)
            high = longest
        self._take(batch)
        return batch

    def _take(self, batch: list[_Turn[Item, Result]]) -> None:
        """Remove items from the lines; what is left of their recordings goes to the end."""
        for turn in batch:
            turn.request.waiting.remove(turn.number)
        taken = {id(turn.request): turn.request for turn in batch}
        for line in (self._new, self._begun):
            line[:] = [request for request in line if id(request) not in taken]
        self._begun += [request for request in taken.values() if request.waiting]

    async def _run_batch(self, batch: list[_Turn[Item, Result]]) -> None:
        """Run a batch, deliver its results and report it; isolate the culprits if it fails."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            results = await self._forward(batch)
        except _Stuck:
            raise
        except Exception as error:
            await self._isolate(batch, error)
            return
        report = BatchReport(
            items=len(batch),
            cost_s=sum(turn.cost for turn in batch),
            padded_s=max(turn.cost for turn in batch) * len(batch),
            waited_s=started - min(turn.request.queued_at for turn in batch),
            ran_s=loop.time() - started,
        )
        for turn, result in zip(batch, results, strict=True):
            self._deliver(turn, result)
        self._on_batch(report)

    def _deliver(self, turn: _Turn[Item, Result], result: Result | Literal[Progress.UNFINISHED]) -> None:
        """Keep the result of an item, answer the caller whose last it was, or let the item wait again."""
        request = turn.request
        request.queued_at = asyncio.get_running_loop().time()
        if result is UNFINISHED:
            request.waiting.appendleft(turn.number)
            if request not in self._begun:
                self._begun.append(request)
            return
        request.results[turn.number] = result
        if len(request.results) == len(request.items) and turn.is_wanted:
            request.future.set_result([request.results[number] for number in range(len(request.items))])

    async def _forward(
        self, batch: list[_Turn[Item, Result]]
    ) -> Sequence[Result | Literal[Progress.UNFINISHED]]:
        """Make one forward pass on the engine thread."""
        items = [turn.item for turn in batch]
        limit_s = self._tunables.max_run_s
        try:
            async with asyncio.timeout(limit_s) as timeout:
                results = await asyncio.get_running_loop().run_in_executor(self._engine, self._run, items)
        except TimeoutError as error:
            if not timeout.expired():
                raise
            raise _Stuck(f"The model did not answer within {limit_s:g} s; it is being replaced.") from error
        if len(results) != len(items):
            raise InferenceError(f"The model answered {len(results)} of {len(items)} recordings.")
        return results

    async def _isolate(self, batch: list[_Turn[Item, Result]], error: Exception) -> None:
        """Retry a batch that failed: in halves if memory ran out, else each item alone."""
        if len(batch) == 1:
            if not isinstance(error, VoxError):
                batch[0].request.context.run(log.error, "A recording failed in the model", exc_info=error)
            _fail(batch[0].request, _to_vox_error(error))
            return
        if self._is_out_of_memory(error):
            longest = max(turn.cost for turn in batch)
            self._budget_s = max(longest, longest * len(batch) / 2)
            log.warning("Out of device memory; batches are now at most %.1f s", self._budget_s)
            middle = len(batch) // 2
            parts = [batch[:middle], batch[middle:]]
        else:
            parts = [[turn] for turn in batch]
        for part in parts:
            if wanted := [turn for turn in part if turn.is_wanted]:
                await self._run_batch(wanted)


class _Stuck(ModelUnavailable):
    """The engine thread does not return."""


def _next_turns(request: _Request[Item, Result], most: int) -> list[_Turn[Item, Result]]:
    """Return the next items of a recording, `most` at most."""
    return [_Turn(request, number, rank) for rank, number in enumerate(islice(request.waiting, most))]


def _fail(request: _Request[Item, Result], error: VoxError) -> None:
    if not request.future.done():
        request.future.set_exception(error)


def _to_vox_error(error: Exception) -> VoxError:
    """Return a `VoxError` as it is, and replace any other error by one without details."""
    return error if isinstance(error, VoxError) else InferenceError(FAILED)
