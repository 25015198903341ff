"""The adaptive batcher: reserve the engine first, form the batch then, from whatever waits.

asyncio only. Ray's own ``serve.batch`` forms batches by waiting time alone and lets them queue formed;
here a busy engine makes the next batch grow, and an idle one takes a lone item at once.
"""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from config.settings import BatchTunables
from voxgraph.errors import InferenceError, ModelUnavailable, VoxError

log = logging.getLogger("ray.serve")

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class BatcherStats:
    """What a batcher has done since it was made."""

    batches: int = 0
    """Forward passes."""
    items: int = 0
    """Items in them."""
    cost_s: float = 0.0
    """Seconds of the items."""
    padded_s: float = 0.0
    """Seconds that were computed: the longest of each batch times its items."""
    largest: int = 0
    """Items of the largest batch."""


@dataclass(frozen=True, slots=True)
class BatchReport:
    """One batch that was answered."""

    items: int
    cost_s: float
    """Seconds of its items."""
    padded_s: float
    """Seconds that were computed: the longest times the items."""
    waited_s: float
    """Seconds that the oldest item waited."""
    ran_s: float
    """Seconds in `run`."""


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Item, Result]):
    """An item, its cost in seconds, its caller's future, when it came (in the loop's time), and for whom."""

    item: Item
    cost: float
    future: "asyncio.Future[Result]"
    since: float
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    """The caller's: what is logged about an item belongs to its request, not to the loop that runs it."""


class Batcher(Generic[Item, Result]):
    """Queues items before one engine thread and runs them in batches.

    The oldest waiting item is always in the next batch, so none starves; it is joined by the waiting items
    that are nearest to it in cost, as long as the padded cost stays within the budget. An item over the
    budget runs alone. A batch that fails is run again item by item, so that only the guilty fail; one that
    runs out of memory is halved. Callers that have gone are skipped. Make it inside a running event loop.

    Args:
        run: From a list of items to the list of their results; called on the engine thread, one at a time.
        cost: Seconds of an item.
        tunables: The budget of a batch.
        is_out_of_memory: Whether an error of `run` means that the batch was too large for the device.
        best_items: Items of a batch at most, where `tunables` leave it open.
        on_batch: Told of each batch that was answered, after its callers were; it must not raise.
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Sequence[Result]],
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
        self._waiting: list[_Waiting[Item, Result]] = []
        self._arrived = asyncio.Event()
        self._running: list[_Waiting[Item, Result]] = []
        self._stats = BatcherStats()
        self._engine = ThreadPoolExecutor(1, thread_name_prefix="engine")
        # In a context of its own: in that of the first request, its log lines would all carry that one's id.
        self._loop_task = asyncio.create_task(self._serve(), context=contextvars.Context())

    @property
    def queued(self) -> int:
        """Items that wait."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Items in the batch that runs."""
        return len(self._running)

    def load(self) -> tuple[int, float]:
        """Items that wait or run and have a caller still, and their seconds."""
        costs = [waiting.cost for waiting in (*self._running, *self._waiting) if not waiting.future.done()]
        return len(costs), sum(costs)

    def stats(self) -> BatcherStats:
        """What has been done so far."""
        return self._stats

    def reconfigure(self, tunables: BatchTunables) -> None:
        """Take a new budget from the next batch on."""
        self._tunables = tunables
        self._budget_s = tunables.max_batch_s

    def check_alive(self) -> None:
        """Raise when nothing will ever be answered again.

        Raises:
            ModelUnavailable: The batcher is closed, its loop has died, or its model is stuck.
        """
        if self._loop_task.done():
            raise ModelUnavailable("The replica's batcher has stopped.")

    async def submit(self, item: Item) -> Result:
        """Answer one item.

        Raises:
            ModelUnavailable: The batcher is closed.
            InferenceError: `run` failed for this item with something else than a `VoxError`.
        """
        self.check_alive()
        loop = asyncio.get_running_loop()
        waiting = _Waiting[Item, Result](item, self._cost(item), loop.create_future(), loop.time())
        self._waiting.append(waiting)
        self._arrived.set()
        return await waiting.future

    async def close(self) -> None:
        """Stop after the batch that runs; what waits fails with `ModelUnavailable`."""
        self._loop_task.cancel()
        await asyncio.gather(self._loop_task, return_exceptions=True)
        for waiting in [*self._running, *self._waiting]:
            _fail(waiting, ModelUnavailable("The replica is being stopped."))
        self._waiting.clear()
        self._engine.shutdown(wait=False)

    async def _serve(self) -> None:
        """Run batches for ever; nothing that an item does ends this loop, but a model that is stuck.

        Then what it was given fails. What waits is left to Serve, which replaces the replica: the callers
        learn that it died and ask another.
        """
        while True:
            await self._arrived.wait()
            self._running = self._take()
            if self._running:
                try:
                    await self._answer(self._running)
                except _Stuck as error:
                    log.error(error.detail)
                    for waiting in self._running:
                        _fail(waiting, ModelUnavailable(error.detail))
                    return
                except Exception as error:
                    log.exception("A batch failed outside the model")
                    for waiting in self._running:
                        _fail(waiting, _as_vox(error))
            self._running = []
            if not self._waiting:
                self._arrived.clear()

    def _take(self) -> list[_Waiting[Item, Result]]:
        """Form a batch: the oldest item and those nearest to it in cost, within the budget."""
        self._waiting = [waiting for waiting in self._waiting if not waiting.future.done()]
        if not self._waiting:
            return []
        oldest, *others = self._waiting
        batch, high = [oldest], oldest.cost
        for waiting in sorted(others, key=lambda other: abs(other.cost - oldest.cost)):
            longest = max(high, waiting.cost)
            full = len(batch) >= (self._tunables.max_batch_items or self._best_items)
            if full or longest * (len(batch) + 1) > self._budget_s:
                break
            batch.append(waiting)
            high = longest
        taken = set(map(id, batch))
        self._waiting = [waiting for waiting in self._waiting if id(waiting) not in taken]
        return batch

    async def _answer(self, batch: list[_Waiting[Item, Result]]) -> None:
        """Run a batch, deliver and report; what fails together is run apart."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            results = await self._compute(batch)
        except _Stuck:
            raise
        except Exception as error:
            await self._isolate(batch, error)
            return
        ran_s = loop.time() - started
        for waiting, result in zip(batch, results, strict=True):
            if not waiting.future.done():
                waiting.future.set_result(result)
        self._report(batch, started, ran_s)

    async def _compute(self, batch: list[_Waiting[Item, Result]]) -> Sequence[Result]:
        """One forward pass on the engine thread."""
        items = [waiting.item for waiting in batch]
        limit_s = self._tunables.max_run_s
        try:
            async with asyncio.timeout(limit_s) as patience:
                results = await asyncio.get_running_loop().run_in_executor(self._engine, self._run, items)
        except TimeoutError as error:
            if not patience.expired():
                raise
            raise _Stuck(f"The model did not answer within {limit_s:g} s; it is being replaced.") from error
        if len(results) != len(items):
            raise InferenceError(f"The model answered {len(results)} of {len(items)} recordings.")
        return results

    def _report(self, batch: list[_Waiting[Item, Result]], started: float, ran_s: float) -> None:
        """Count a batch that was answered."""
        report = BatchReport(
            items=len(batch),
            cost_s=sum(waiting.cost for waiting in batch),
            padded_s=max(waiting.cost for waiting in batch) * len(batch),
            waited_s=started - min(waiting.since for waiting in batch),
            ran_s=ran_s,
        )
        self._stats = BatcherStats(
            batches=self._stats.batches + 1,
            items=self._stats.items + report.items,
            cost_s=self._stats.cost_s + report.cost_s,
            padded_s=self._stats.padded_s + report.padded_s,
            largest=max(self._stats.largest, report.items),
        )
        self._on_batch(report)

    async def _isolate(self, batch: list[_Waiting[Item, Result]], error: Exception) -> None:
        """Answer a batch that failed: in halves when memory ran out, else each item alone."""
        if len(batch) == 1:
            if not isinstance(error, VoxError):
                batch[0].context.run(log.error, "A recording failed in the model", exc_info=error)
            _fail(batch[0], _as_vox(error))
            return
        if self._is_out_of_memory(error):
            longest = max(waiting.cost for waiting in batch)
            self._budget_s = max(longest, longest * len(batch) / 2)
            log.warning("Out of device memory; batches are now at most %.1f s", self._budget_s)
            middle = len(batch) // 2
            parts = [batch[:middle], batch[middle:]]
        else:
            parts = [[waiting] for waiting in batch]
        for part in parts:
            wanted = [waiting for waiting in part if not waiting.future.done()]
            if wanted:
                await self._answer(wanted)


class _Stuck(ModelUnavailable):
    """The engine thread does not come back."""


def _fail(waiting: _Waiting[Item, Result], error: VoxError) -> None:
    if not waiting.future.done():
        waiting.future.set_exception(error)


def _as_vox(error: Exception) -> VoxError:
    """The error as callers see it: ours as it is, any other without its details."""
    return error if isinstance(error, VoxError) else InferenceError("The model failed on this recording.")
