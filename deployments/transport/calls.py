"""Groups of handle calls, and handles that bypass Ray's object store; `voxgraph.calls` makes each call."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any

from ray.serve.handle import DeploymentHandle

from deployments.transport.concurrency import OnProgress, gather_or_cancel
from voxgraph.calls import RETRY_INTERVAL_S, Deadline, StartCall, call
from voxgraph.errors import Overloaded

DIRECT_BYTES = 1 << 20
"""Maximum bytes of a direct call: for more, the object store is as fast, and Ray's limit is 4 MiB."""


def direct(handle: DeploymentHandle) -> DeploymentHandle:
    """Return a handle whose calls go from process to process, bypassing Ray's object store.

    Arguments and answers have at most `DIRECT_BYTES` and must not contain object references.
    """
    return handle.options(
        _by_reference=False, request_serialization="pickle", response_serialization="pickle"
    )


async def call_when_capacity(start: StartCall, deadline: Deadline) -> Any:
    """Make a call like `call`, but wait for capacity instead of raising `Overloaded`."""
    while True:
        try:
            return await call(start, deadline)
        except Overloaded:
            await asyncio.sleep(min(RETRY_INTERVAL_S, deadline.remaining()))


async def call_all(
    starts: Iterable[StartCall], deadline: Deadline, window: int, on_progress: OnProgress = lambda _: None
) -> list[Any]:
    """Make many calls, at most `window` of them at a time, and return the answers in the order of `starts`.

    Until the first answer, a full deployment fails the whole group; afterwards, calls wait for capacity, so
    that the work already done is not lost.

    Args:
        starts: Functions that each start one call.
        deadline: Deadline of all calls together.
        window: Maximum number of calls in flight.
        on_progress: Called after each answer with the number of answers so far.

    Raises:
        VoxError: The first failure; calls in flight are cancelled and no more are made.
    """
    waiting = deque(enumerate(starts))
    answers: dict[int, Any] = {}

    async def answer(start: StartCall) -> Any:
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
                waiting.clear()  # Another worker may finish a call before it is cancelled and take the next.
                raise
            on_progress(len(answers))

    await gather_or_cancel(*(work() for _ in range(min(window, len(waiting)))))
    return [answers[number] for number in range(len(answers))]
