"""Adaptive batcher: it forms a batch from the queue only when the engine is free.

It uses asyncio only. Ray's ``serve.batch`` forms batches by a time window alone and queues complete batches;
here the next batch grows while the engine is busy, and an idle engine takes a single item at once.
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
    """An item in the batcher and the future of its caller."""

    item: Item
    cost: float
    """Seconds of audio."""
    future: "asyncio.Future[Result]"
    enqueued_at: float
    """Seconds on the clock of the event loop."""
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    """Context of the caller, so that log lines about the item carry the id of its request."""


class Batcher(Generic[Item, Result]):
    """Queues items for one engine thread and runs them in batches.

    The oldest item in the queue is always in the next batch, so none starves; the items nearest to it in cost
    join it as long as the padded cost stays within the budget. An item over the budget runs alone. A batch
    that fails is run again item by item, so that only the culprits fail; one that runs out of memory is
    halved. Items whose caller has left are skipped. Create a batcher inside a running event loop.

    Args:
        run: Maps a list of items to the list of their results; only the engine thread calls it.
        cost: Returns the seconds of audio in an item.
        tunables: The budget of a batch.
        is_out_of_memory: Whether an error of `run` means that the batch was too large for the device.
        best_items: Maximum number of items in a batch if `tunables` do not set it.
        on_batch: Called after each batch whose callers were answered; it must not raise.
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
        self._queue: list[_Request[Item, Result]] = []
        self._arrived = asyncio.Event()
        self._running: list[_Request[Item, Result]] = []
        self._engine = ThreadPoolExecutor(1, thread_name_prefix="engine")
        # An empty context: in that of the first request, all log lines of the loop would carry its id.
        self._loop_task = asyncio.create_task(self._run_loop(), context=contextvars.Context())

    @property
    def queued(self) -> int:
        """Number of items in the queue."""
        return len(self._queue)

    @property
    def running(self) -> int:
        """Number of items in the running batch."""
        return len(self._running)

    def load(self) -> tuple[int, float]:
        """Return the number of items that wait or run for a caller, and their seconds of audio."""
        costs = [request.cost for request in (*self._running, *self._queue) if not request.future.done()]
        return len(costs), sum(costs)

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
        self.check_alive()
        loop = asyncio.get_running_loop()
        request = _Request[Item, Result](item, self._cost(item), loop.create_future(), loop.time())
        self._queue.append(request)
        self._arrived.set()
        return await request.future

    async def close(self) -> None:
        """Stop now: items that run or wait fail with `ModelUnavailable`."""
        self._loop_task.cancel()
        await asyncio.gather(self._loop_task, return_exceptions=True)
        for request in [*self._running, *self._queue]:
            _fail(request, ModelUnavailable("The replica is being stopped."))
        self._queue.clear()
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
                    for request in self._running:
                        _fail(request, ModelUnavailable(error.detail))
                    return
                except Exception as error:
                    log.exception("A batch failed outside the model")
                    for request in self._running:
                        _fail(request, _to_vox_error(error))
            self._running = []
            if not self._queue:
                self._arrived.clear()

    def _form_batch(self) -> list[_Request[Item, Result]]:
        """Take the oldest item and those nearest to it in cost from the queue, within the budget."""
        self._queue = [request for request in self._queue if not request.future.done()]
        if not self._queue:
            return []
        oldest, *others = self._queue
        batch, high = [oldest], oldest.cost
        for request in sorted(others, key=lambda other: abs(other.cost - oldest.cost)):
            longest = max(high, request.cost)
            full = len(batch) >= (self._tunables.max_batch_items or self._best_items)
            if full or longest * (len(batch) + 1) > self._budget_s:
                break
            batch.append(request)
            high = longest
        taken = set(map(id, batch))
        self._queue = [request for request in self._queue if id(request) not in taken]
        return batch

    async def _run_batch(self, batch: list[_Request[Item, Result]]) -> None:
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
        ran_s = loop.time() - started
        for request, result in zip(batch, results, strict=True):
            if not request.future.done():
                request.future.set_result(result)
        self._on_batch(
            BatchReport(
                items=len(batch),
                cost_s=sum(request.cost for request in batch),
                padded_s=max(request.cost for request in batch) * len(batch),
                waited_s=started - min(request.enqueued_at for request in batch),
                ran_s=ran_s,
            )
        )

    async def _forward(self, batch: list[_Request[Item, Result]]) -> Sequence[Result]:
        """Make one forward pass on the engine thread."""
        items = [request.item for request in batch]
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

    async def _isolate(self, batch: list[_Request[Item, Result]], error: Exception) -> None:
        """Retry a batch that failed: in halves if memory ran out, else each item alone."""
        if len(batch) == 1:
            if not isinstance(error, VoxError):
                batch[0].context.run(log.error, "A recording failed in the model", exc_info=error)
            _fail(batch[0], _to_vox_error(error))
            return
        if self._is_out_of_memory(error):
            longest = max(request.cost for request in batch)
            self._budget_s = max(longest, longest * len(batch) / 2)
            log.warning("Out of device memory; batches are now at most %.1f s", self._budget_s)
            middle = len(batch) // 2
            parts = [batch[:middle], batch[middle:]]
        else:
            parts = [[request] for request in batch]
        for part in parts:
            if wanted := [request for request in part if not request.future.done()]:
                await self._run_batch(wanted)


class _Stuck(ModelUnavailable):
    """The engine thread does not return."""


def _fail(request: _Request[Item, Result], error: VoxError) -> None:
    if not request.future.done():
        request.future.set_exception(error)


def _to_vox_error(error: Exception) -> VoxError:
    """Return a `VoxError` as it is, and replace any other error by one without details."""
    return error if isinstance(error, VoxError) else InferenceError("The model failed on this recording.")
