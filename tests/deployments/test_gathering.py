"""Recordings of several requests in one call: who goes with whom, and what each learns of it."""

import asyncio
import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.exceptions import ActorDiedError
from ray.serve._private.common import DeploymentID
from ray.serve.exceptions import BackPressureError

from deployments import calls, gathering
from deployments.calls import DIRECT_BYTES, Deadline
from deployments.clips import Clip
from deployments.gathering import MOST, Gatherer, groups
from deployments.known_replicas import know
from deployments.request_ids import context_of, current_request_id
from pipelines.errors import AudioTooShort, DeadlineExceeded, ModelUnavailable, Overloaded, VoxError

MODEL = DeploymentID("Language", "voxgraph")


class Model:
    """A deployment that answers each clip with its first sample; remembers who came together."""

    deployment_id = MODEL

    def __init__(self, seconds: float = 0.0, replicas: int = 1) -> None:
        know(MODEL, replicas)
        self.seconds = seconds
        self.asked: list[list[float]] = []
        self.ids: list[str] = []
        self.contexts: list[str] = []
        self.cancelled = 0
        self.alone: list[float] = []
        self.fails: list[BaseException] = []
        """What the next calls of several recordings fail with."""
        self.fails_alone: list[BaseException] = []
        """What the next calls of one fail with."""
        self.outcomes: dict[float, Any] = {}
        """Of some clips, in place of the answer."""
        self.answers = SimpleNamespace(remote=lambda items: Call(self, self._together(items)))
        self.answer = SimpleNamespace(remote=lambda sent: Call(self, self._alone(float(sent[0]))))

    async def _together(self, items: list[tuple[str, Any]]) -> list[Any]:
        numbers = [float(sent[0]) for _, sent in items]
        self.asked.append(numbers)
        self.ids += [request_id for request_id, _ in items]
        await asyncio.sleep(self.seconds)
        if self.fails:
            raise self.fails.pop(0)
        return [self.outcomes.get(number, number) for number in numbers]

    async def _alone(self, number: float) -> float:
        self.alone.append(number)
        await asyncio.sleep(self.seconds)
        if self.fails_alone:
            raise self.fails_alone.pop(0)
        return number


class Call:
    """As a response of Serve."""

    def __init__(self, model: Model, work: Any) -> None:
        model.contexts.append(current_request_id())
        self._model, self._task = model, asyncio.ensure_future(work)

    def __await__(self) -> Any:
        return self._task.__await__()

    def cancel(self) -> None:
        self._model.cancelled += 1
        self._task.cancel()


def clip(number: float, samples: int = 800) -> Clip:
    return Clip(np.full(samples, number, np.float32))


def made(model: Model) -> Gatherer:
    handle: Any = model
    return Gatherer(handle)


def busy(model: Model) -> Gatherer:
    """A gatherer with a call under way to the only replica; what is asked at once goes together."""
    gatherer = made(model)
    gatherer._under_way = 1
    return gatherer


def ask(gatherer: Gatherer, number: float, seconds: float = 5.0) -> "asyncio.Task[Any]":
    return asyncio.create_task(gatherer.ask(clip(number), Deadline.after(seconds)))


async def test_a_recording_goes_at_once_and_alone_where_nothing_is_under_way() -> None:
    model = Model(replicas=2)
    gatherer = made(model)
    gatherer._took_s = 1000.0

    assert [await ask(gatherer, number) for number in range(3)] == [0, 1, 2]

    assert (model.alone, model.asked) == ([0, 1, 2], [])


async def test_a_replica_that_has_nothing_is_not_kept_waiting() -> None:
    model = Model(seconds=0.02, replicas=2)
    gatherer = made(model)
    gatherer._took_s = 1000.0
    tasks = [ask(gatherer, number) for number in range(4)]

    await asyncio.sleep(0.01)

    assert (model.alone, model.asked) == ([0], [[1, 2, 3]])
    assert await asyncio.gather(*tasks) == list(range(4))


async def test_with_many_replicas_each_recording_goes_alone() -> None:
    model = Model(seconds=0.02, replicas=gathering.FEW + 1)
    gatherer = made(model)

    assert await asyncio.gather(*(ask(gatherer, number) for number in range(8))) == list(range(8))

    assert (model.alone, model.asked) == (list(range(8)), [])


async def test_while_every_replica_is_busy_recordings_wait_for_company() -> None:
    model = Model(seconds=0.2)
    gatherer = made(model)
    gatherer._took_s = 0.4
    tasks = [ask(gatherer, 0)]
    await asyncio.sleep(0.002)

    for number in (1, 2, 3):
        tasks.append(ask(gatherer, number))
        await asyncio.sleep(0.002)
    await asyncio.sleep(0.4 * gathering.WAIT_SHARE)

    assert (model.alone, model.asked) == ([0], [[1, 2, 3]])
    assert await asyncio.gather(*tasks) == [0, 1, 2, 3]


async def test_who_waits_goes_as_soon_as_a_replica_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "LONGEST_WAIT_S", 60.0)
    model = Model(seconds=0.01)
    gatherer = made(model)
    gatherer._took_s = 1000.0
    tasks = [ask(gatherer, number) for number in range(3)]

    assert await asyncio.wait_for(asyncio.gather(*tasks), 1) == [0, 1, 2]
    assert (model.alone, model.asked) == ([0], [[1, 2]])


async def test_the_end_of_one_of_two_calls_to_a_replica_leaves_it_busy() -> None:
    model = Model(seconds=0.1)
    gatherer = made(model)
    gatherer._took_s = 0.5
    gatherer._under_way = 1
    ended = gatherer._begun()
    task = ask(gatherer, 0)
    await asyncio.sleep(0.002)
    gatherer._took_s = 0.5

    ended()
    await asyncio.sleep(0.002)
    assert model.asked == []

    assert await task == 0


@given(st.lists(st.integers(1, DIRECT_BYTES), max_size=40))
def test_groups_keep_the_order_and_the_limits(sizes: list[int]) -> None:
    waiting: list[Any] = [
        SimpleNamespace(sent=SimpleNamespace(nbytes=size), number=number) for number, size in enumerate(sizes)
    ]

    formed = list(groups(waiting))

    assert [asked.number for group in formed for asked in group] == list(range(len(sizes)))
    for group in formed:
        assert 1 <= len(group) <= MOST
        assert sum(asked.sent.nbytes for asked in group) <= DIRECT_BYTES
    for group, following in itertools.pairwise(formed):
        full = len(group) == MOST
        assert full or sum(one.sent.nbytes for one in (*group, following[0])) > DIRECT_BYTES


async def test_a_refused_recording_fails_alone() -> None:
    model = Model()
    model.outcomes[1.0] = AudioTooShort("too short")
    gatherer = busy(model)

    first, second = await asyncio.gather(ask(gatherer, 0), ask(gatherer, 1), return_exceptions=True)

    assert first == 0
    assert isinstance(second, AudioTooShort)


async def test_a_call_that_is_refused_refuses_all_that_is_in_it() -> None:
    model = Model()
    model.fails = [BackPressureError(num_queued_requests=5, max_queued_requests=5)]
    gatherer = busy(model)

    answers = await asyncio.gather(ask(gatherer, 0), ask(gatherer, 1), return_exceptions=True)

    assert [type(answer) for answer in answers] == [Overloaded, Overloaded]
    assert await ask(gatherer, 2) == 2


async def test_where_the_replica_dies_each_is_asked_once_more_and_alone() -> None:
    model = Model()
    model.fails = [ActorDiedError()]
    gatherer = busy(model)

    assert await asyncio.gather(ask(gatherer, 0), ask(gatherer, 1)) == [0, 1]

    assert model.asked == [[0, 1]]
    assert sorted(model.alone) == [0, 1]


async def test_who_kills_a_second_replica_is_told_so() -> None:
    model = Model()
    model.fails, model.fails_alone = [ActorDiedError()], [ActorDiedError()]
    gatherer = busy(model)

    with pytest.raises(ModelUnavailable, match="died"):
        await ask(gatherer, 0)


async def test_what_a_stuck_replica_left_waits_for_the_one_that_takes_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calls, "ROOM_WITHIN_S", 0.001)
    model = Model()
    model.outcomes = {0.0: ModelUnavailable("stuck"), 1.0: None}
    model.fails_alone = [ModelUnavailable("stopped"), ModelUnavailable("stopped")]
    gatherer = busy(model)

    first, second = await asyncio.gather(ask(gatherer, 0), ask(gatherer, 1), return_exceptions=True)

    assert isinstance(first, ModelUnavailable)
    assert second == 1
    assert model.alone == [1, 1, 1]


async def test_a_deadline_is_each_recordings_own() -> None:
    model = Model(seconds=0.1)
    gatherer = busy(model)

    first, second = await asyncio.gather(
        ask(gatherer, 0, seconds=0.02), ask(gatherer, 1), return_exceptions=True
    )

    assert isinstance(first, DeadlineExceeded)
    assert second == 1
    assert model.cancelled == 0


async def test_a_deadline_that_has_passed_asks_nothing() -> None:
    model = Model()
    gatherer = busy(model)

    for free in (gatherer, made(model)):
        with pytest.raises(DeadlineExceeded):
            await ask(free, 0, seconds=-1)
    await asyncio.sleep(0.01)

    assert (model.asked, model.alone) == ([], [])


async def test_a_call_ends_where_nobody_wants_it_any_more_and_not_before() -> None:
    model = Model(seconds=60)
    gatherer = busy(model)
    first, second = ask(gatherer, 0), ask(gatherer, 1)
    await asyncio.sleep(0.01)

    first.cancel()
    await asyncio.sleep(0.01)
    assert model.cancelled == 0
    second.cancel()
    await asyncio.sleep(0.01)

    assert model.cancelled == 1
    assert (gatherer._under_way, gatherer._tasks) == (1, set())


async def test_who_went_away_before_the_call_is_not_in_it() -> None:
    model = Model()
    gatherer = busy(model)
    gatherer._took_s = 0.2
    gone, stays = ask(gatherer, 0), ask(gatherer, 1)
    await asyncio.sleep(0.002)

    gone.cancel()

    assert await stays == 1
    assert model.asked == [[1]]


async def test_a_call_belongs_to_no_request_and_each_recording_to_its_own() -> None:
    model = Model()
    gatherer = busy(model)
    tasks = [
        asyncio.create_task(
            gatherer.ask(clip(number), Deadline.after(5)), context=context_of(f"request-{number}")
        )
        for number in range(2)
    ]

    await asyncio.gather(*tasks)

    assert model.ids == ["request-0", "request-1"]
    assert model.contexts == [""]


async def test_a_fault_of_ours_reaches_everyone() -> None:
    model = Model()
    model.fails = [ZeroDivisionError()]
    gatherer = busy(model)

    answers = await asyncio.gather(ask(gatherer, 0), ask(gatherer, 1), return_exceptions=True)

    assert [type(answer) for answer in answers] == [ZeroDivisionError, ZeroDivisionError]
    assert not any(isinstance(answer, VoxError) for answer in answers)


async def test_calls_are_counted_however_they_end() -> None:
    model = Model()
    gatherer = made(model)
    model.fails, model.fails_alone = [ActorDiedError(), ZeroDivisionError()], [AudioTooShort("too short")]

    for _ in range(3):
        await asyncio.gather(*(ask(gatherer, number) for number in range(4)), return_exceptions=True)
    gone = [ask(gatherer, number) for number in range(4)]
    await asyncio.sleep(0)
    for task in gone:
        task.cancel()
    await asyncio.sleep(0.01)

    assert (gatherer._under_way, gatherer._tasks, gatherer._waiting) == (0, set(), [])
