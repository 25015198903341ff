"""The batcher: waiting items are batched, none starves, and a bad item fails alone."""

import asyncio
import contextvars
import logging
import statistics
import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.settings import BatchTunables
from deployments.replica.batcher import UNFINISHED, Batcher, BatchReport
from voxgraph.errors import CorruptAudio, InferenceError, ModelUnavailable

Run = Callable[[list[float]], list[float]]


class Engine:
    """Doubles numbers and records the batches; can be held, and fails on given numbers."""

    def __init__(self, errors: dict[float, Exception] | None = None, memory: float = 1e9) -> None:
        self.batches: list[list[float]] = []
        self.free = threading.Event()
        self.free.set()
        self._errors = errors or {}
        self._memory = memory

    def __call__(self, items: list[float]) -> list[float]:
        self.free.wait(10)
        self.batches.append(list(items))
        if max(items) * len(items) > self._memory:
            raise MemoryError
        for item in items:
            if item in self._errors:
                raise self._errors[item]
        return [2 * item for item in items]


def batcher(
    run: Run, max_batch_s: float = 100.0, max_batch_items: int = 32, **options: object
) -> Batcher[float, float]:
    tunables = BatchTunables(max_batch_s=max_batch_s, max_batch_items=max_batch_items)
    return Batcher(run, cost=lambda item: item, tunables=tunables, **options)  # type: ignore[arg-type]


async def waiting(batcher: Batcher[float, float], count: int) -> None:
    while batcher.queued < count:
        await asyncio.sleep(0.001)


async def hold(batcher: Batcher[float, float], engine: Engine) -> "asyncio.Task[float]":
    """Keep the engine busy with an item of cost 1 until `engine.free` is set."""
    engine.free.clear()
    first = asyncio.create_task(batcher.submit(1.0))
    while not batcher.running:
        await asyncio.sleep(0.001)
    return first


async def behind_a_held_engine(
    batcher: Batcher[float, float], engine: Engine, items: list[float]
) -> list["asyncio.Task[float]"]:
    """Submit items while the engine is busy with a first one of cost 1, then release the engine."""
    first = await hold(batcher, engine)
    tasks = [asyncio.create_task(batcher.submit(item)) for item in items]
    await waiting(batcher, len(items))
    engine.free.set()
    await first
    return tasks


async def test_a_single_item_is_run_at_once() -> None:
    engine = Engine()

    assert await batcher(engine).submit(3.0) == 6.0
    assert engine.batches == [[3.0]]


async def test_items_that_wait_for_a_busy_engine_form_one_batch() -> None:
    engine = Engine()
    batch = batcher(engine)

    tasks = await behind_a_held_engine(batch, engine, [2.0] * 7)

    assert await asyncio.gather(*tasks) == [4.0] * 7
    assert [len(items) for items in engine.batches] == [1, 7]


async def test_a_batch_stays_within_its_budget_of_padded_seconds_and_items() -> None:
    engine = Engine()

    tasks = await behind_a_held_engine(batcher(engine, max_batch_s=10, max_batch_items=4), engine, [2.0] * 9)
    await asyncio.gather(*tasks)

    assert [len(items) for items in engine.batches] == [1, 4, 4, 1]


async def test_an_item_over_the_budget_runs_alone() -> None:
    engine = Engine()

    tasks = await behind_a_held_engine(batcher(engine, max_batch_s=10), engine, [50.0, 2.0, 2.0])
    await asyncio.gather(*tasks)

    assert engine.batches == [[1.0], [50.0], [2.0, 2.0]]


async def test_the_items_nearest_in_length_join_the_oldest_one() -> None:
    engine = Engine()

    tasks = await behind_a_held_engine(batcher(engine, max_batch_s=9), engine, [3.0, 9.0, 1.0, 3.0, 2.9, 9.0])
    await asyncio.gather(*tasks)

    assert engine.batches == [[1.0], [3.0, 3.0, 2.9], [9.0], [1.0], [9.0]]


async def test_only_the_bad_items_fail() -> None:
    engine = Engine(errors={3.0: CorruptAudio("this one"), 4.0: ZeroDivisionError()})

    tasks = await behind_a_held_engine(batcher(engine), engine, [2.0, 3.0, 4.0, 5.0])
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert results[0] == 4.0
    assert isinstance(results[1], CorruptAudio)
    assert isinstance(results[2], InferenceError)
    assert results[3] == 10.0


async def test_a_batch_too_large_for_the_device_is_halved_and_lowers_the_budget() -> None:
    engine = Engine(memory=8.0)
    batch = batcher(engine, is_out_of_memory=lambda error: isinstance(error, MemoryError))

    tasks = await behind_a_held_engine(batch, engine, [2.0] * 8)
    assert await asyncio.gather(*tasks) == [4.0] * 8
    tasks = await behind_a_held_engine(batch, engine, [2.0] * 8)
    assert await asyncio.gather(*tasks) == [4.0] * 8

    assert [len(items) for items in engine.batches] == [1, 8, 4, 4, 1, 4, 4]


async def test_an_item_that_does_not_fit_the_device_fails_alone() -> None:
    engine = Engine(memory=8.0)
    batch = batcher(engine, is_out_of_memory=lambda error: isinstance(error, MemoryError))

    with pytest.raises(InferenceError):
        await batch.submit(9.0)
    assert await batch.submit(2.0) == 4.0


async def test_an_item_whose_caller_has_left_is_not_computed() -> None:
    engine = Engine()
    batch = batcher(engine)
    first = await hold(batch, engine)
    gone, stays = asyncio.create_task(batch.submit(2.0)), asyncio.create_task(batch.submit(3.0))
    await waiting(batch, 2)
    gone.cancel()
    await asyncio.sleep(0)
    engine.free.set()

    assert await asyncio.gather(first, stays) == [2.0, 6.0]
    assert engine.batches == [[1.0], [3.0]]


async def test_a_caller_that_leaves_during_the_batch_does_not_affect_the_others() -> None:
    engine = Engine()
    batch = batcher(engine)
    tasks = await behind_a_held_engine(batch, engine, [2.0, 3.0])
    engine.free.clear()
    tasks[0].cancel()
    engine.free.set()

    assert await tasks[1] == 6.0
    assert await batch.submit(5.0) == 10.0


async def test_a_short_recording_waits_for_one_piece_of_a_long_one() -> None:
    engine = Engine()
    batch = batcher(engine, max_batch_items=1)
    engine.free.clear()
    long = asyncio.create_task(batch.submit_all([10.0] * 50))
    await waiting(batch, 49)

    short = asyncio.create_task(batch.submit(1.0))
    await waiting(batch, 50)
    engine.free.set()

    assert await short == 2.0
    assert engine.batches[:2] == [[10.0], [1.0]]
    assert len(engine.batches) < 10
    assert await long == [20.0] * 50


async def test_long_recordings_take_turns_and_new_ones_do_not_wait_for_all_of_them() -> None:
    engine = Engine()
    batch = batcher(engine, max_batch_items=1)
    first = await hold(batch, engine)
    long = [asyncio.create_task(batch.submit_all([10.0 + number] * 3)) for number in range(3)]
    await waiting(batch, 9)
    engine.free.set()
    await asyncio.gather(first, *long)

    # A new one has its turn before those that go on, and then one of these.
    assert [items[0] - 10 for items in engine.batches[1:]] == [0, 1, 0, 2, 1, 0, 2, 1, 2]


async def test_a_caller_that_leaves_stops_a_long_recording_at_the_next_piece() -> None:
    engine = Engine()
    batch = batcher(engine, max_batch_items=1)
    long = asyncio.create_task(batch.submit_all([10.0] * 50))
    while len(engine.batches) < 2:
        await asyncio.sleep(0.001)
    engine.free.clear()
    long.cancel()
    engine.free.set()
    await asyncio.gather(long, return_exceptions=True)
    done = len(engine.batches)

    assert await batch.submit(1.0) == 2.0
    assert len(engine.batches) <= done + 2
    assert batch.load() == (0, 0.0)


async def test_pieces_of_several_recordings_share_a_batch_and_find_their_way_back() -> None:
    engine = Engine()
    batch = batcher(engine, max_batch_items=4)
    first = await hold(batch, engine)
    tasks = [asyncio.create_task(batch.submit_all([cost + n / 8 for n in range(5)])) for cost in (2.0, 3.0)]
    await waiting(batch, 10)

    assert batch.load() == (3, 1.0 + 11.25 + 16.25)
    engine.free.set()
    await first

    assert await asyncio.gather(*tasks) == [[2 * (cost + n / 8) for n in range(5)] for cost in (2.0, 3.0)]
    assert max(map(len, engine.batches)) == 4


async def test_a_piece_that_fails_fails_its_recording_and_ends_its_work() -> None:
    engine = Engine(errors={3.0: CorruptAudio("this one")})
    batch = batcher(engine, max_batch_items=1)

    with pytest.raises(CorruptAudio):
        await batch.submit_all([2.0, 3.0, 4.0, 5.0])
    assert await batch.submit(6.0) == 12.0
    assert engine.batches == [[2.0], [3.0], [6.0]]


async def test_an_item_that_needs_several_turns_lets_others_run_between_them() -> None:
    turns: dict[float, int] = {}
    order: list[float] = []

    def run(items: list[float]) -> list[object]:
        time.sleep(0.06)
        order.extend(items)
        for item in items:
            turns[item] = turns.get(item, 0) + 1
        return [2 * item if turns[item] >= item else UNFINISHED for item in items]

    batch = Batcher(run, cost=lambda item: item, tunables=BatchTunables(), best_items=1)  # type: ignore[arg-type]
    long = asyncio.create_task(batch.submit(9.0))
    while not order:
        await asyncio.sleep(0.001)

    assert await batch.submit(1.0) == 2.0
    assert order.index(1.0) <= 5  # After `FIRST_S`, others have their turn.
    assert await long == 18.0
    assert turns == {9.0: 9, 1.0: 1}


async def test_a_clip_of_several_turns_is_done_before_a_long_recording_has_the_engine_again() -> None:
    order: list[float] = []

    def run(items: list[float]) -> list[object]:
        order.extend(items)
        time.sleep(0.1 if items[0] > 5 else 0.01)
        return [2 * items[0] if order.count(items[0]) % 3 == 0 else UNFINISHED]

    batch = Batcher(run, cost=lambda item: item, tunables=BatchTunables(), best_items=1)  # type: ignore[arg-type]
    parts = [asyncio.create_task(batch.submit_all([cost] * 9, goes_on=True)) for cost in (8.0, 9.0)]
    while len(order) < 2:
        await asyncio.sleep(0.001)
    before = len(order)

    assert await batch.submit(1.0) == 2.0
    first = order.index(1.0)
    assert first <= before + 1
    assert order[first : first + 3] == [1.0] * 3
    for part in parts:
        part.cancel()
    await asyncio.gather(*parts, return_exceptions=True)


async def test_those_that_go_on_have_half_of_the_time_however_many_new_ones_wait() -> None:
    order: list[float] = []

    def run(items: list[float]) -> list[float]:
        order.extend(items)
        time.sleep(0.08 if items[0] > 5 else 0.02)
        return items

    batch = batcher(run, max_batch_items=1)
    new = [asyncio.create_task(batch.submit(1.0)) for _ in range(40)]
    await batch.submit_all([9.0] * 4, goes_on=True)

    # About four turns of new ones after each of the long one; the clock of a busy machine is coarse.
    assert 6 <= order[: len(order) - order[::-1].index(9.0)].count(1.0) <= 24
    await asyncio.gather(*new)


async def test_a_turn_of_long_recordings_is_short_on_a_slow_engine_and_full_on_a_fast_one() -> None:
    async def longest_turn(item_s: float) -> int:
        batches: list[int] = []

        def run(items: list[float]) -> list[float]:
            batches.append(len(items))
            time.sleep(item_s * len(items))
            return items

        batch = batcher(run, max_batch_s=1e9, max_batch_items=8)
        await batch.submit_all([5.0] * 40)
        return max(batches)

    assert await longest_turn(0.03) <= 3
    assert await longest_turn(0.0) == 8


async def test_a_clip_takes_no_piece_of_a_long_recording_along_on_a_slow_engine() -> None:
    batches: list[list[float]] = []

    def run(items: list[float]) -> list[float]:
        batches.append(list(items))
        time.sleep(0.03 * len(items))
        return items

    batch = batcher(run, max_batch_items=8)
    long = asyncio.create_task(batch.submit_all([5.0] * 60))
    while len(batches) < 2:
        await asyncio.sleep(0.001)

    for _ in range(3):
        await batch.submit(1.0)
    long.cancel()
    await asyncio.gather(long, return_exceptions=True)

    assert [items for items in batches if 1.0 in items] == [[1.0]] * 3


async def test_a_clip_takes_pieces_of_a_long_recording_along_on_a_fast_engine() -> None:
    batches: list[list[float]] = []

    def run(items: list[float]) -> list[float]:
        batches.append(list(items))
        time.sleep(0.001)
        return items

    batch = batcher(run, max_batch_items=8)
    long = asyncio.create_task(batch.submit_all([5.0] * 5000))
    while len(batches) < 4:
        await asyncio.sleep(0.001)

    for _ in range(20):
        await batch.submit(1.0)
    long.cancel()
    await asyncio.gather(long, return_exceptions=True)

    assert any(5.0 in items for items in batches if 1.0 in items)


async def test_a_batch_with_too_few_results_fails_and_the_batcher_goes_on() -> None:
    batch = batcher(lambda items: [] if items == [7.0] else [2 * item for item in items])

    with pytest.raises(InferenceError):
        await batch.submit(7.0)
    assert await batch.submit(1.0) == 2.0


async def test_the_load_counts_items_that_wait_or_run_for_a_caller() -> None:
    engine = Engine()
    batch = batcher(engine)
    tasks = [await hold(batch, engine), *(asyncio.create_task(batch.submit(4.0)) for _ in range(3))]
    await waiting(batch, 3)

    assert batch.load() == (4, 13.0)
    tasks[3].cancel()
    await asyncio.sleep(0)
    assert batch.load() == (3, 9.0)

    engine.free.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert batch.load() == (0, 0.0)


async def test_each_answered_batch_is_reported() -> None:
    engine = Engine(errors={3.0: CorruptAudio("this one")})
    reports: list[BatchReport] = []
    batch = batcher(engine, max_batch_items=2, on_batch=reports.append)

    tasks = await behind_a_held_engine(batch, engine, [2.0, 5.0, 3.0])
    await asyncio.gather(*tasks, return_exceptions=True)

    # 2 and 3 fail together and are retried alone; 3 fails again.
    assert [(report.items, report.cost_s) for report in reports] == [(1, 1.0), (1, 2.0), (1, 5.0)]
    assert all(0 <= report.waited_s < 10 and 0 <= report.ran_s < 10 for report in reports)


async def test_log_lines_about_a_recording_carry_its_request() -> None:
    request: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="none")
    logged: list[tuple[str, str]] = []

    class Recorder(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            logged.append((record.getMessage(), request.get()))
            return True

    async def submit(item: float) -> float:
        request.set(f"request {item:g}")
        return await batch.submit(item)

    request.set("creator of the batcher")
    engine = Engine(errors={4.0: ZeroDivisionError()}, memory=8.0)
    batch = batcher(engine, is_out_of_memory=lambda error: isinstance(error, MemoryError))
    recorder = Recorder()
    logging.getLogger("ray.serve").addFilter(recorder)
    try:
        await asyncio.gather(submit(4.0), submit(3.0), submit(2.0), return_exceptions=True)
    finally:
        logging.getLogger("ray.serve").removeFilter(recorder)

    assert ("A recording failed in the model", "request 4") in logged
    assert {context for message, context in logged if "memory" in message} == {"none"}


async def test_closing_fails_waiting_items_and_all_later_ones() -> None:
    engine = Engine()
    batch = batcher(engine)
    tasks = [await hold(batch, engine), *(asyncio.create_task(batch.submit(1.0)) for _ in range(2))]
    await waiting(batch, 2)

    await batch.close()
    engine.free.set()

    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(result, ModelUnavailable)
    with pytest.raises(ModelUnavailable):
        batch.check_alive()
    with pytest.raises(ModelUnavailable):
        await batch.submit(1.0)


async def test_a_stuck_model_fails_its_batch_and_leaves_the_queue_to_the_replacement() -> None:
    engine = Engine()
    batch = batcher(engine)
    batch.reconfigure(BatchTunables(max_run_s=0.05, max_batch_items=1))

    running = await hold(batch, engine)
    behind = asyncio.create_task(batch.submit(2.0))
    with pytest.raises(ModelUnavailable, match=r"did not answer within 0\.05 s"):
        await running
    await asyncio.sleep(0)

    with pytest.raises(ModelUnavailable):
        batch.check_alive()
    with pytest.raises(ModelUnavailable):
        await batch.submit(3.0)
    assert not behind.done()
    engine.free.set()
    await batch.close()
    with pytest.raises(ModelUnavailable):
        await behind


async def test_new_tunables_keep_waiting_items() -> None:
    engine = Engine()
    batch = batcher(engine)
    tasks = [await hold(batch, engine), *(asyncio.create_task(batch.submit(1.0)) for _ in range(6))]
    await waiting(batch, 6)

    batch.reconfigure(BatchTunables(max_batch_items=2))
    engine.free.set()

    assert await asyncio.gather(*tasks) == [2.0] * 7
    assert [len(items) for items in engine.batches] == [1, 2, 2, 2]


async def test_batches_grow_if_requests_arrive_faster_than_the_model_answers() -> None:
    """60 requests 5 ms apart, a model of 30 ms + 2 ms per item: a known case of Ray, five times faster."""
    sizes: list[int] = []

    def run(items: list[float]) -> list[float]:
        sizes.append(len(items))
        time.sleep(0.030 + 0.002 * len(items))
        return items

    batch = batcher(run, max_batch_s=1e9)

    async def request(index: int) -> float:
        await asyncio.sleep(0.005 * index)
        started = time.monotonic()
        await batch.submit(1.0)
        return time.monotonic() - started

    latencies = await asyncio.gather(*(request(index) for index in range(60)))

    assert len(sizes) < 30
    assert statistics.median(latencies) < 0.4


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.1, 30), min_size=1, max_size=40), st.floats(1, 60), st.integers(1, 8))
def test_every_item_is_answered_once_within_the_budget(costs: list[float], budget: float, most: int) -> None:
    engine = Engine()

    async def run() -> list[float]:
        batch = batcher(engine, max_batch_s=budget, max_batch_items=most)
        answers = await asyncio.gather(*(batch.submit(cost) for cost in costs))
        await batch.close()
        return answers

    assert asyncio.run(run()) == [2 * cost for cost in costs]
    assert sorted(item for items in engine.batches for item in items) == sorted(costs)
    for items in engine.batches:
        assert len(items) == 1 or (max(items) * len(items) <= budget and len(items) <= most)
