"""Groups of handle calls, and handles that go past Ray's object store; `voxgraph.calls` makes each call."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from ray.serve.handle import DeploymentHandle

from voxgraph.calls import ROOM_WITHIN_S, Deadline, Start, call
from voxgraph.errors import Overloaded

T = TypeVar("T")

DIRECT_BYTES = 1 << 20
"""The most that goes directly: from there on the object store is as fast, and Ray takes no message of more
than 4 MiB."""


def direct(handle: DeploymentHandle) -> DeploymentHandle:
    """A handle whose calls go from process to process, past Ray's object store.

    Arguments and answers are at most `DIRECT_BYTES`; object references cannot be among them.
    """
    return handle.options(
        _by_reference=False, request_serialization="pickle", response_serialization="pickle"
    )


async def call_when_capacity(start: Start, deadline: Deadline) -> Any:
    """As `call`, for a part of work that is under way: where the deployment is full it waits for room."""
    while True:
        try:
            return await call(start, deadline)
        except Overloaded:
            await asyncio.sleep(min(ROOM_WITHIN_S, deadline.remaining()))


async def call_all(
    starts: Iterable[Start],
    deadline: Deadline,
    window: int,
    on_progress: Callable[[int], None] = lambda _: None,
) -> list[Any]:
    """Make many calls, at most `window` of them at a time.

    Once one is answered the others are in: where the deployment is full then they wait for room.

    Args:
        starts: Each makes a call.
        deadline: Of all of them.
        window: Calls under way at a time.
        on_progress: Called after each answer with the number of answers so far.

    Returns:
        The answers in the order of `starts`.

    Raises:
        VoxError: The first failure; the calls that are under way are cancelled and no more are made.
    """
    waiting = deque(enumerate(starts))
    answers: dict[int, Any] = {}

    async def answer(start: Start) -> Any:
        try:
            return await call(start, deadline)
        except Overloaded:
            if not answers:
                raise
        return await call_when_capacity(start, deadline)

    async def work() -> None:
        while waiting:
            number, start = waiting.popleft()
            try:
                answers[number] = await answer(start)
            except BaseException:
                waiting.clear()  # Before its neighbours are cancelled one of them may be done.
                raise
            on_progress(len(answers))

    await gather_or_cancel(*(work() for _ in range(min(window, len(waiting)))))
    return [answers[number] for number in range(len(answers))]


async def gather_or_cancel(*coroutines: Coroutine[Any, Any, T]) -> list[T]:
    """Run coroutines at once and return their results in order; the first failure ends the others.

    Raises:
        BaseException: The first failure, as it is; every other coroutine has ended by then.
    """
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
