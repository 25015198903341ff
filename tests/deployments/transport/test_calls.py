"""Handle calls: deadline, cancellation in the replica, one retry after its death, translated errors."""

import asyncio
import pickle
from collections.abc import Callable, Generator
from typing import Any

import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata
from ray.exceptions import ActorDiedError, ObjectStoreFullError, OutOfDiskError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from deployments.transport.calls import call_all, call_when_capacity
from deployments.transport.concurrency import gather_or_cancel
from voxgraph import calls
from voxgraph.calls import Deadline, call, retry_after_failure
from voxgraph.errors import CorruptAudio, DeadlineExceeded, ModelUnavailable, Overloaded


class Response:
    """Returns an answer or raises an error after some seconds; records whether it was cancelled."""

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
    """Return a `StartCall` that returns these responses one after the other."""
    return iter(responses).__next__


async def test_an_answer_is_returned_and_nothing_is_cancelled() -> None:
    response = Response(5)

    assert await call(starting(response), Deadline.after(1)) == 5
    assert not response.cancelled


async def test_a_call_over_its_deadline_is_cancelled_in_the_replica() -> None:
    response = Response(5, seconds=10)

    with pytest.raises(DeadlineExceeded):
        await call(starting(response), Deadline.after(0.01))
    assert response.cancelled


async def test_after_the_deadline_no_call_is_made() -> None:
    with pytest.raises(DeadlineExceeded):
        await call(starting(), Deadline.after(-1))


async def test_a_cancelled_caller_cancels_the_call_in_the_replica() -> None:
    response = Response(5, seconds=10)
    task = asyncio.create_task(call(starting(response), Deadline.after(60)))
    await asyncio.sleep(0.01)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert response.cancelled


STREAM_RESET = AioRpcError(StatusCode.INTERNAL, Metadata(), Metadata(), "stream reset")


@pytest.mark.parametrize("error", [ActorDiedError(), STREAM_RESET])
async def test_a_call_to_a_dead_replica_is_retried_once(error: Exception) -> None:
    assert await call(starting(Response(error), Response(5)), Deadline.after(1)) == 5


async def test_two_dead_replicas_are_unavailable() -> None:
    with pytest.raises(ModelUnavailable):
        await call(starting(Response(ActorDiedError()), Response(ActorDiedError())), Deadline.after(1))


async def test_a_retry_may_reach_the_failing_replica_until_it_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calls, "RETRY_INTERVAL_S", 0.001)
    refusals = [Response(ModelUnavailable("stopped")) for _ in range(3)]

    assert await retry_after_failure(starting(*refusals, Response(5)), Deadline.after(1)) == 5


async def test_a_replica_that_is_never_replaced_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "RETRY_INTERVAL_S", 0.01)
    monkeypatch.setattr(calls, "REPLACEMENT_TIMEOUT_S", 0.05)

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


async def test_an_error_of_the_replica_is_unwrapped() -> None:
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

    progress: list[int] = []

    assert await call_all(starts, Deadline.after(5), window=4, on_progress=progress.append) == list(range(20))
    assert most == 4
    assert progress == list(range(1, 21))


async def test_the_first_failure_cancels_calls_in_flight_and_starts_no_more() -> None:
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
    """Return a `StartCall` that is refused `times` times before it is answered."""
    return starting(*(Response(BackPressureError(16, 16)) for _ in range(times)), Response(answer))


async def test_after_the_first_answer_the_other_calls_wait_for_capacity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calls, "RETRY_INTERVAL_S", 0.01)
    starts = [starting(Response(0)), full(3, 1), starting(Response(2))]

    assert await call_all(starts, Deadline.after(5), window=1) == [0, 1, 2]


async def test_calls_that_wait_for_capacity_end_at_the_deadline() -> None:
    starts = [starting(Response(0)), full(100, 1)]

    with pytest.raises(DeadlineExceeded):
        await call_all(starts, Deadline.after(0.5), window=1)


async def test_call_when_capacity_waits_until_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "RETRY_INTERVAL_S", 0.01)

    assert await call_when_capacity(full(3, 1), Deadline.after(5)) == 1
    with pytest.raises(DeadlineExceeded):
        await call_when_capacity(full(100, 1), Deadline.after(0.1))


async def test_many_calls_of_which_none_finds_capacity_are_refused() -> None:
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
async def test_a_full_object_store_is_overloaded(error: type[Exception]) -> None:
    def start() -> Response:
        raise error

    with pytest.raises(Overloaded):
        await call(start, Deadline.after(1))


async def test_gather_or_cancel_raises_the_first_failure_and_leaves_nothing_running() -> None:
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
