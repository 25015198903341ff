"""Adaptive batcher: it forms a batch only when the engine is free, and lets long recordings take turns.

It uses asyncio only. Ray's ``serve.batch`` forms batches by a time window alone and queues complete batches;
here the next batch grows while the engine is busy, and an idle engine takes a single item at once.
"""

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
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
FIRST_S: Final = 0.2
"""Seconds of the engine that a recording of one item has before it counts as one that goes on. A clip of a
second in which speakers are looked for needs two or three turns, 0.08 s in all."""
TURN_S: Final = 0.1
"""Seconds of the engine that several items of long recordings may take in one turn, for which a clip that
arrives just then has to wait. A single item may take longer."""
JOINED_S: Final = 0.02
"""Seconds of the engine by which items of long recordings may prolong the batch of a new recording."""
FEW_ITEMS: Final = 4
"""Most items of a recording that is not long."""
LONGEST_CREDIT_S: Final = 1.0
"""Most seconds for which new recordings have the engine after a turn of those that go on."""


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
    goes_on: bool = False
    """Whether the items are a later part of a recording."""
    used_s: float = 0.0
    """Its share of the seconds that the engine ran for it."""
    waiting: deque[int] = field(default_factory=deque)
    """Numbers of the items that wait."""
    results: dict[int, Result] = field(default_factory=dict)
    """Results by number of the item."""
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    """Context of the caller, so that log lines about the items carry the id of its request."""

    @property
    def is_long(self) -> bool:
        """Whether it is of a recording that others would wait for, if all its items ran at once."""
        return self.goes_on or len(self.items) > FEW_ITEMS

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

    Recordings of several items take turns. There are two lines: new recordings, in the order of their
    arrival, and those that go on, each of which goes to the end of its line after its turn. A recording of
    one item that needs several turns stays new for `FIRST_S`. While both lines wait, they share the engine's
    time: after a turn of those that go on, new recordings have it for as long as that turn took. So none
    starves, and a clip that takes no longer than a turn of those that go on waits for the running batch and
    for new recordings before it alone, however many hours others have. The items nearest in cost to the head
    join it as long as the padded cost stays within the budget; those of long recordings only as long as they
    take `TURN_S` together, or `JOINED_S` beside a new one, by the time that such items took before. An item
    over the budget runs alone. A batch that fails is run again item by item, so that only the culprits fail;
    one that runs out of memory is halved. Items whose caller has left are skipped. Create a batcher inside a
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
        self._is_new_turn = False
        """Whether the head of the running batch is a new recording."""
        self._ahead_s = 0.0
        """Seconds that new recordings ran while others waited to go on, since the last turn of these."""
        self._turn_s = 0.0
        """Seconds that the last turn of those that go on took."""
        self._long_item_s: float | None = None
        """Seconds that an item of a long recording takes beside others; None: not known yet."""
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
        request = _Request[Item, Result](items, costs, loop.create_future(), loop.time(), goes_on)
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
            others_wait = bool(self._begun)
            self._running = self._form_batch()
            if self._running:
                started = asyncio.get_running_loop().time()
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
                self._share(asyncio.get_running_loop().time() - started, others_wait)
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
        line = self._next_line()
        self._is_new_turn = line is self._new
        first, *others = _next_turns(line[0], most)
        for request in (*self._new, *self._begun):
            if request is not line[0]:
                others += _next_turns(request, most)
        # Of items that are equally near, the first of every recording come first.
        others.sort(key=lambda turn: (abs(turn.cost - first.cost), turn.rank))
        batch, high = [first], first.cost
        for turn in self._without_most_long(first, others):
            longest = max(high, turn.cost)
            if len(batch) >= most or longest * (len(batch) + 1) > self._budget_s:
                break
            batch.append(turn)
            high = longest
        self._take(batch)
        return batch

    def _next_line(self) -> list[_Request[Item, Result]]:
        """Return the line whose turn it is; one of them is not empty."""
        if not self._begun or not self._new:
            return self._begun or self._new
        return self._begun if self._ahead_s > 0 and self._ahead_s >= self._turn_s else self._new

    def _without_most_long(
        self, first: _Turn[Item, Result], others: list[_Turn[Item, Result]]
    ) -> Iterator[_Turn[Item, Result]]:
        """Yield those that may join the head of a batch, of long recordings as many as take a short time."""
        limit_s = JOINED_S if self._is_new_turn else TURN_S
        left = int(limit_s / self._long_item_s) if self._long_item_s else 0
        left -= first.request.is_long
        for turn in others:
            if not turn.request.is_long:
                yield turn
            elif left > 0:
                left -= 1
                yield turn

    def _share(self, ran_s: float, others_wait: bool) -> None:
        """Note the seconds that a batch took of the engine's time, which both lines share."""
        if not self._is_new_turn:
            self._ahead_s, self._turn_s = 0.0, min(ran_s, LONGEST_CREDIT_S)
        elif others_wait:
            self._ahead_s += ran_s

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
        item_s = report.ran_s / len(batch)
        if all(turn.request.is_long for turn in batch):
            self._long_item_s = item_s if self._long_item_s is None else (self._long_item_s + item_s) / 2
        for turn, result in zip(batch, results, strict=True):
            turn.request.used_s += item_s
            self._deliver(turn, result)
        self._on_batch(report)

    def _deliver(self, turn: _Turn[Item, Result], result: Result | Literal[Progress.UNFINISHED]) -> None:
        """Keep the result of an item, answer the caller whose last it was, or let the item wait again."""
        request = turn.request
        request.queued_at = asyncio.get_running_loop().time()
        if result is UNFINISHED:
            request.waiting.appendleft(turn.number)
            if len(request.items) == 1 and not request.goes_on and request.used_s < FIRST_S:
                self._new.insert(0, request)
            elif request not in self._begun:
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
