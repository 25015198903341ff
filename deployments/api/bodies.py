"""Bytes of bodies in the memory of a replica: what has arrived, and what nobody has read yet."""

import asyncio
from contextvars import ContextVar

from starlette.types import Message, Receive

from config.settings import AudioLimits
from deployments.api.shares import SharedBudget

MAX_UNREAD_BYTES = 1 << 20
"""Bytes of a body that may wait for the application; then no more is read from the connection."""


class Flow:
    """Stops reading a body while the application does not read it.

    Serve reads every body to its end into a queue without a limit, also one that nobody will read.
    """

    def __init__(self) -> None:
        self._unread = 0
        self._room = asyncio.Event()

    def from_connection(self, receive: Receive) -> Receive:
        """Return the ``receive`` of the server, which waits for the application."""

        async def receive_with_room() -> Message:
            while self._unread > MAX_UNREAD_BYTES:
                self._room.clear()
                await self._room.wait()
            message = await receive()
            self._unread += len(message.get("body", b""))
            return message

        return receive_with_room

    def by_application(self, receive: Receive) -> Receive:
        """Return the ``receive`` of the application, which makes room."""

        async def receive_and_count() -> Message:
            message = await receive()
            self._unread -= len(message.get("body", b""))
            self._room.set()
            return message

        return receive_and_count


flow: ContextVar[Flow | None] = ContextVar("flow", default=None)
"""The flow of the request in whose task the code runs, if the server limits it."""


class Body:
    """The bytes that one request has sent and that are still in memory, as a part of a budget."""

    def __init__(self, budget: SharedBudget, client: str | None) -> None:
        self._budget = budget
        self._client = client
        self._held = 0

    def counted(self, receive: Receive) -> Receive:
        """Return a ``receive`` that counts what arrives; it raises what `SharedBudget.acquire` raises."""

        async def receive_and_count() -> Message:
            message = await receive()
            self.take(len(message.get("body", b"")))
            return message

        return receive_and_count

    def take(self, amount: int) -> None:
        """Count bytes that are in memory from now on; raises what `SharedBudget.acquire` raises."""
        if amount:
            self._budget.acquire(amount, self._client, "uploads")
            self._held += amount

    def release(self, amount: int | None = None) -> None:
        """Return bytes that are in memory no longer; None returns all."""
        amount = self._held if amount is None else min(amount, self._held)
        self._budget.release(amount, self._client)
        self._held -= amount


def bodies_budget(limits: AudioLimits) -> SharedBudget:
    """Return the budget of the bodies of all requests, in bytes."""
    largest = max(limits.max_upload_bytes, limits.max_gallery_bytes)
    return SharedBudget(limits.max_bodies_bytes, limits.max_client_share, at_least=largest)
