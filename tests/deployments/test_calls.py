"""Handle calls: a deadline, a cancelled child, one retry on a dead replica, errors of our own."""

import asyncio
import pickle
from collections.abc import Callable, Generator
from typing import Any

import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata
from ray.exceptions import ActorDiedError, ObjectStoreFullError, OutOfDiskError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from deployments.transport.calls import call_all, call_when_capacity, gather_or_cancel
from voxgraph import calls
from voxgraph.calls import Deadline, call, retry_after_failure
from voxgraph.errors import CorruptAudio, DeadlineExceeded, ModelUnavailable, Overloaded


class Response:
    """An answer, or an error, after some seconds; remembers whether it was cancelled."""

    def __init__(self, answer: Any, seconds: float = 0.0) -> None:
        self._answer = answer
        self._seconds = seconds
        self.cancelled = False

    def __await__(self) -> Generator[Any, None, Any]:
        return self._wait().__await__()

    async def _wait(self) -> Any:
        await asyncio.sleep(self._seconds)
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer

    def cancel(self) -> None:
        self.cancelled = True


def starting(*responses: Response) -> Callable[[], Response]:
    """A start that makes these responses, one after the other."""
    return iter(responses).__next__


async def test_an_answer_comes_back_and_nothing_is_cancelled() -> None:
    response = Response(5)

    assert await call(starting(response), Deadline.after(1)) == 5
    assert not response.cancelled


async def test_a_call_over_its_deadline_is_cancelled_in_the_replica() -> None:
    response = Response(5, seconds=10)

    with pytest.raises(DeadlineExceeded):
        await call(starting(response), Deadline.after(0.01))
    assert response.cancelled


async def test_a_deadline_that_has_passed_makes_no_call() -> None:
    with pytest.raises(DeadlineExceeded):
        await call(starting(), Deadline.after(-1))


async def test_a_caller_who_goes_away_cancels_the_replica() -> None:
    response = Response(5, seconds=10)
    task = asyncio.create_task(call(starting(response), Deadline.after(60)))
    await asyncio.sleep(0.01)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert response.cancelled


BROKEN_OFF = AioRpcError(StatusCode.INTERNAL, Metadata(), Metadata(), "stream reset")


@pytest.mark.parametrize("error", [ActorDiedError(), BROKEN_OFF])
async def test_a_dead_replica_is_tried_once_more(error: Exception) -> None:
    assert await call(starting(Response(error), Response(5)), Deadline.after(1)) == 5


async def test_two_dead_replicas_are_unavailable() -> None:
    with pytest.raises(ModelUnavailable):
        await call(starting(Response(ActorDiedError()), Response(ActorDiedError())), Deadline.after(1))


async def test_a_replica_that_is_being_replaced_may_be_asked_again_until_it_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calls, "ROOM_WITHIN_S", 0.001)
    refusals = [Response(ModelUnavailable("stopped")) for _ in range(3)]

    assert await retry_after_failure(starting(*refusals, Response(5)), Deadline.after(1)) == 5


async def test_a_replica_that_is_never_replaced_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "ROOM_WITHIN_S", 0.01)
    monkeypatch.setattr(calls, "REPLACED_WITHIN_S", 0.05)

    with pytest.raises(ModelUnavailable, match="stopped"):
        await retry_after_failure(lambda: Response(ModelUnavailable("stopped")), Deadline.after(1))


async def test_a_full_deployment_is_overloaded() -> None:
    refused = BackPressureError(num_queued_requests=5, max_queued_requests=5)

    with pytest.raises(Overloaded):
        await call(starting(Response(refused)), Deadline.after(1))


async def test_a_deployment_that_is_gone_is_unavailable() -> None:
    from ray.serve._private.common import DeploymentID

    gone = DeploymentUnavailableError(DeploymentID(name="Language"))

    with pytest.raises(ModelUnavailable):
        await call(starting(Response(gone)), Deadline.after(1))


async def test_an_error_of_the_replica_loses_rays_wrapping() -> None:
    wrapped = RayTaskError("answer", "traceback", CorruptAudio("broken")).as_instanceof_cause()
    assert type(wrapped) is not CorruptAudio

    with pytest.raises(CorruptAudio) as caught:
        await call(starting(Response(wrapped)), Deadline.after(1))

    assert type(caught.value) is CorruptAudio
    assert caught.value.detail == "broken"
    assert pickle.loads(pickle.dumps(caught.value)).detail == "broken"


async def test_many_calls_are_answered_in_order_within_their_window() -> None:
    running, most = 0, 0

    class Counted(Response):
        async def _wait(self) -> Any:
            nonlocal running, most
            running, most = running + 1, max(most, running + 1)
            result = await super()._wait()
            running -= 1
            return result

    starts = [lambda index=index: Counted(index, seconds=0.002 * (index % 3)) for index in range(20)]

    told: list[int] = []

    assert await call_all(starts, Deadline.after(5), window=4, on_progress=told.append) == list(range(20))
    assert most == 4
    assert told == list(range(1, 21))


async def test_the_first_failure_cancels_what_is_under_way_and_starts_no_more() -> None:
    slow = [Response(index, seconds=10) for index in range(3)]
    never: list[Response] = []
    starts = [
        *(lambda response=response: response for response in slow),
        lambda: Response(CorruptAudio("broken"), seconds=0.01),
        *(lambda: never.append(Response(0)) or never[-1] for _ in range(5)),
    ]

    with pytest.raises(CorruptAudio):
        await call_all(starts, Deadline.after(5), window=4)
    assert all(response.cancelled for response in slow)
    assert not never


def full(times: int, answer: int) -> Callable[[], Response]:
    """A deployment that refuses so many calls before it answers."""
    return starting(*(Response(BackPressureError(16, 16)) for _ in range(times)), Response(answer))


async def test_of_many_calls_of_which_one_is_answered_the_others_wait_for_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calls, "ROOM_WITHIN_S", 0.01)
    starts = [starting(Response(0)), full(3, 1), starting(Response(2))]

    assert await call_all(starts, Deadline.after(5), window=1) == [0, 1, 2]


async def test_of_many_calls_that_wait_for_room_none_outlasts_the_deadline() -> None:
    starts = [starting(Response(0)), full(100, 1)]

    with pytest.raises(DeadlineExceeded):
        await call_all(starts, Deadline.after(0.5), window=1)


async def test_a_part_of_what_is_under_way_waits_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "ROOM_WITHIN_S", 0.01)

    assert await call_when_capacity(full(3, 1), Deadline.after(5)) == 1
    with pytest.raises(DeadlineExceeded):
        await call_when_capacity(full(100, 1), Deadline.after(0.1))


async def test_many_calls_of_which_none_finds_room_are_refused() -> None:
    refusing = [Response(BackPressureError(16, 16)) for _ in range(2)]
    never: list[Response] = []

    with pytest.raises(Overloaded):
        await call_all(
            [*(starting(one) for one in refusing), lambda: never.append(Response(0)) or never[-1]],
            Deadline.after(5),
            window=2,
        )
    assert not never


@pytest.mark.parametrize("error", [ObjectStoreFullError, OutOfDiskError])
async def test_no_room_for_what_is_sent_is_a_refusal(error: type[Exception]) -> None:
    def start() -> Response:
        raise error

    with pytest.raises(Overloaded):
        await call(start, Deadline.after(1))


async def test_side_by_side_raises_the_first_failure_as_it_is_and_leaves_nothing_running() -> None:
    ended: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            ended.append("slow")

    async def failing() -> None:
        await asyncio.sleep(0.01)
        raise CorruptAudio("broken")

    with pytest.raises(CorruptAudio):
        await gather_or_cancel(slow(), failing())
    assert ended == ["slow"]
