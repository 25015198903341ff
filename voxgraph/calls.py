"""Handle calls with a deadline: cancelled in the replica when the caller stops waiting, retried once when
the replica dies. A bare handle waits forever, and asyncio's own cancellation does not reach the replica.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
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

from voxgraph.errors import TIMEOUT_MESSAGE, DeadlineExceeded, ModelUnavailable, Overloaded, VoxError

REPLICA_GONE = (ActorDiedError, ActorUnavailableError, AioRpcError)
"""Errors of a call whose replica died. A by-value call whose replica dies mid-stream raises `AioRpcError`
instead of `ActorUnavailableError`."""
STORE_FULL = (ObjectStoreFullError, OutOfDiskError)
"""Errors of a full object store; the second is raised if spilling to disk is disabled."""
REPLICA_DIED_MESSAGE = "The model's replica died; it is being replaced."
RETRY_INTERVAL_S = 0.2
"""Seconds between two attempts on a deployment that is full or is losing a replica."""
REPLACEMENT_TIMEOUT_S = 5.0
"""Seconds that a retry allows for the replacement of a replica that fails its health check. It takes less."""


class Response(Awaitable[Any], Protocol):
    """What ``handle.method.remote(...)`` returns."""

    def cancel(self) -> None:
        """Cancel the call in the replica."""


StartCall = Callable[[], Any]
"""Starts a call and returns its `Response`; called again for a retry."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point in time that several calls share."""

    at: float
    """Seconds on the clock of the running event loop."""

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Return the deadline `seconds` from now."""
        return cls(asyncio.get_running_loop().time() + seconds)

    def remaining(self) -> float:
        """Return the seconds that are left; raise `DeadlineExceeded` if the deadline has passed."""
        seconds = self.at - asyncio.get_running_loop().time()
        if seconds <= 0:
            raise DeadlineExceeded(TIMEOUT_MESSAGE)
        return seconds

    @asynccontextmanager
    async def timeout(self) -> AsyncIterator[None]:
        """Cancel the block if the deadline passes before it ends, and raise `DeadlineExceeded`."""
        try:
            async with asyncio.timeout_at(self.at):
                yield
        except TimeoutError as error:
            raise DeadlineExceeded(TIMEOUT_MESSAGE) from error


async def call(start: StartCall, deadline: Deadline) -> Any:
    """Make one handle call and wait for its answer; retry once if the replica dies.

    Args:
        start: Starts the call, e.g. ``lambda: handle.answer.remote(clip)``.
        deadline: When to give up.

    Raises:
        DeadlineExceeded: The deadline passed; the call is cancelled in the replica.
        Overloaded: Every queue of the deployment is full, or the object store is.
        ModelUnavailable: The replica died, and so did the replica of the retry.
        VoxError: What the replica raised.
    """
    with suppress(*REPLICA_GONE):
        return await attempt(start, deadline)
    return await retry_after_failure(start, deadline)


async def retry_after_failure(start: StartCall, deadline: Deadline) -> Any:
    """Make a call again after its replica died or failed its health check; raises what `call` raises.

    Until such a replica is replaced, the router may choose it again and get `ModelUnavailable`: such answers
    are retried for `REPLACEMENT_TIMEOUT_S`.
    """
    replaced = Deadline.after(REPLACEMENT_TIMEOUT_S)
    while True:
        try:
            return await attempt(start, deadline)
        except REPLICA_GONE as error:
            raise ModelUnavailable(REPLICA_DIED_MESSAGE) from error
        except ModelUnavailable:
            if asyncio.get_running_loop().time() >= replaced.at:
                raise
        await asyncio.sleep(min(RETRY_INTERVAL_S, deadline.remaining()))


async def stream(start: StartCall, deadline: Deadline) -> AsyncGenerator[Any]:
    """Make one streaming call and yield its items; it is not retried.

    Args:
        start: Starts the call, e.g. ``lambda: handle.options(stream=True).method.remote(clip)``.
        deadline: When to give up.

    Raises:
        DeadlineExceeded: The deadline passed; the call is cancelled in the replica.
        ModelUnavailable: The replica died.
        VoxError: What the replica raised.
    """
    deadline.remaining()
    responses = start()
    try:
        async with _cancel_on_early_exit(responses, deadline):
            async for item in responses:
                yield item
    except REPLICA_GONE as error:
        raise ModelUnavailable(REPLICA_DIED_MESSAGE) from error


async def attempt(start: StartCall, deadline: Deadline) -> Any:
    """Make a call once, and cancel it in the replica if the caller leaves early; raises what `call` raises.

    Raises:
        REPLICA_GONE: The replica died.
    """
    deadline.remaining()
    try:
        response = start()
    except STORE_FULL as error:
        raise Overloaded("The object store has no room for the recording; try again in a moment.") from error
    async with _cancel_on_early_exit(response, deadline):
        return await response


@asynccontextmanager
async def _cancel_on_early_exit(response: Any, deadline: Deadline) -> AsyncIterator[None]:
    """Cancel a call in its replica if the block fails; translate every error except `REPLICA_GONE`."""
    try:
        async with deadline.timeout():
            yield
    except REPLICA_GONE:
        raise
    except BaseException as error:
        response.cancel()
        raise _translate(error) from error


def _translate(error: BaseException) -> BaseException:
    """Return the `VoxError` inside Ray's wrapping, or the one that stands for an error of Serve."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    if isinstance(cause, VoxError):
        return type(cause)(cause.detail)
    if isinstance(cause, BackPressureError):
        return Overloaded("Every queue of the model is full; try again in a moment.")
    if isinstance(cause, DeploymentUnavailableError | RequestCancelledError):
        return ModelUnavailable("The model has no replica that could answer.")
    return error
