"""What a holder keeps only while it says so: a holder that died gives back what it held."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

LEASE_S = 10.0
"""Seconds after which a lease lapses that nobody renewed."""
RENEWED_EVERY_S = 3.0


class Leases:
    """Tokens with an end.

    Args:
        seconds: How long one lasts after it was granted or renewed.
        clock: Seconds that only grow.
    """

    def __init__(self, seconds: float = LEASE_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._ends: dict[str, float] = {}

    def grant(self) -> str:
        """A new token."""
        token = uuid.uuid4().hex
        self._ends[token] = self._clock() + self._seconds
        return token

    def renew(self, token: str) -> None:
        """Begin its time anew; one that has lapsed stays so."""
        if token in self._ends:
            self._ends[token] = self._clock() + self._seconds

    def end(self, token: str) -> None:
        """Give it back; one that has lapsed is gone already."""
        self._ends.pop(token, None)

    def lapse(self) -> list[str]:
        """Forget the tokens that were not renewed in time, and name them."""
        now = self._clock()
        lapsed = [token for token, end in self._ends.items() if end <= now]
        for token in lapsed:
            del self._ends[token]
        return lapsed


@contextlib.asynccontextmanager
async def renewing(renew: Callable[[], Awaitable[Any]]) -> AsyncIterator[None]:
    """Renew a lease again and again until the block ends; a renewal that fails is tried again."""

    async def forever() -> None:
        while True:
            await asyncio.sleep(RENEWED_EVERY_S)
            with contextlib.suppress(Exception):
                await renew()

    task = asyncio.create_task(forever())
    try:
        yield
    finally:
        task.cancel()
