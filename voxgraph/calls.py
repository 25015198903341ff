"""Handle calls with a deadline: cancelled in the replica when the caller stops waiting, retried once when
the replica dies. A bare handle waits forever, and asyncio's own cancellation does not reach the replica.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from grpc.aio import AioRpcError
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    ObjectStoreFullError,
    OutOfDiskError,
    RayTaskError,
)
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, RequestCancelledError

from voxgraph.errors import DeadlineExceeded, ModelUnavailable, Overloaded, VoxError

REPLICA_GONE = (ActorDiedError, ActorUnavailableError, AioRpcError)
"""The last where a direct call breaks off in another way than the second tells."""
TIMEOUT_MESSAGE = "The answer was not ready in time."
REPLICA_DIED = "The model's replica died; it is being replaced."
STORE_FULL = (ObjectStoreFullError, OutOfDiskError)
"""Where what is sent by reference finds no room; the second where nothing may be written to a disk."""
ROOM_WITHIN_S = 0.2
"""Seconds after which a deployment that is full, or is losing a replica, is asked again."""
REPLACED_WITHIN_S = 5.0
"""Seconds after which a replica that fails its health check is gone, and more."""


class Response(Awaitable[Any], Protocol):
    """What ``handle.method.remote(...)`` returns."""

    def cancel(self) -> None:
        """Cancel the call in the replica."""


Start = Callable[[], Any]
"""Makes a `Response`; called again for a retry."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment that several calls share."""

    at: float
    """In the time of the running event loop."""

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """The moment `seconds` from now."""
        return cls(asyncio.get_running_loop().time() + seconds)

    def remaining(self) -> float:
        """Seconds until then.

        Raises:
            DeadlineExceeded: It has passed.
        """
        seconds = self.at - asyncio.get_running_loop().time()
        if seconds <= 0:
            raise DeadlineExceeded(TIMEOUT_MESSAGE)
        return seconds

    @asynccontextmanager
    async def timeout(self) -> AsyncIterator[None]:
        """Ends the block at the moment.

        Raises:
            DeadlineExceeded: It did.
        """
        try:
            async with asyncio.timeout_at(self.at):
                yield
        except TimeoutError as error:
            raise DeadlineExceeded(TIMEOUT_MESSAGE) from error


async def call(start: Start, deadline: Deadline) -> Any:
    """Make one handle call and wait for its answer.

    Args:
        start: Makes the call, e.g. ``lambda: handle.answer.remote(clip)``.
        deadline: When to give up.

    Raises:
        DeadlineExceeded: The deadline passed; the call is cancelled in the replica.
        Overloaded: Every queue of the deployment is full, or the object store is.
        ModelUnavailable: The replica died, and so did the one that the call was made to again.
        VoxError: What the replica raised.
    """
    try:
        return await attempt(start, deadline)
    except REPLICA_GONE:
        pass
    return await retry_after_failure(start, deadline)


async def retry_after_failure(start: Start, deadline: Deadline) -> Any:
    """Make a call once more, the replica of which died or is about to be replaced; errors as of `call`.

    Until it is replaced it may be asked again, and answers that it is unavailable.
    """
    replaced = Deadline.after(REPLACED_WITHIN_S)
    while True:
        try:
            return await attempt(start, deadline)
        except REPLICA_GONE as error:
            raise ModelUnavailable(REPLICA_DIED) from error
        except ModelUnavailable:
            if asyncio.get_running_loop().time() >= replaced.at:
                raise
        await asyncio.sleep(min(ROOM_WITHIN_S, deadline.remaining()))


async def stream(start: Start, deadline: Deadline) -> AsyncGenerator[Any]:
    """Make one streaming call and hand on what it says; it is not made again.

    Args:
        start: Makes the call, e.g. ``lambda: handle.options(stream=True).method.remote(clip)``.
        deadline: When to give up.

    Raises:
        DeadlineExceeded: The deadline passed; the call is cancelled in the replica.
        ModelUnavailable: The replica died.
        VoxError: What the replica raised.
    """
    deadline.remaining()
    responses = start()
    try:
        async with _cancelled_when_left(responses, deadline):
            async for said in responses:
                yield said
    except REPLICA_GONE as error:
        raise ModelUnavailable(REPLICA_DIED) from error


async def attempt(start: Start, deadline: Deadline) -> Any:
    """One attempt, cancelled in the replica whenever it is left early; errors as of `call`.

    Raises:
        REPLICA_GONE: The replica died.
    """
    deadline.remaining()
    try:
        response = start()
    except STORE_FULL as error:
        raise Overloaded("There is no room for the recording; try again in a moment.") from error
    async with _cancelled_when_left(response, deadline):
        return await response


@asynccontextmanager
async def _cancelled_when_left(response: Any, deadline: Deadline) -> AsyncIterator[None]:
    """Cancel a call in its replica where the block ends early; errors are made ours, save a dead replica."""
    try:
        async with deadline.timeout():
            yield
    except REPLICA_GONE:
        raise
    except BaseException as error:
        response.cancel()
        raise _translated(error) from error


def _translated(error: BaseException) -> BaseException:
    """The error without Ray's wrapping: ours by class and detail, Ray's refusals as ours."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    if isinstance(cause, VoxError):
        return type(cause)(cause.detail)
    if isinstance(cause, BackPressureError):
        return Overloaded("Every queue of the model is full; try again in a moment.")
    if isinstance(cause, DeploymentUnavailableError | RequestCancelledError):
        return ModelUnavailable("The model has no replica that could answer.")
    return error
