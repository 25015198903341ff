"""A value that many callers ask for at once, computed for all of them together and not too often."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

BURST = 5
"""Times that a value is computed anew without a pause, so that a person or a probe sees the present state."""


class Refreshed(Generic[T]):
    """Computes a value at most once a second after a burst; callers share what is being computed.

    A caller who comes too soon gets the last value, which is then at most a second old.

    Args:
        compute: Computes the value.
        clock: Monotonic, in seconds.
    """

    def __init__(
        self, compute: Callable[[], Awaitable[T]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._compute = compute
        self._clock = clock
        self._running: asyncio.Task[T] | None = None
        self._last: T | None = None
        self._tokens = float(BURST)
        self._filled_at = clock()

    async def get(self) -> T:
        """Return the value; raises what computing it raises."""
        if self._running is None or self._running.done():
            if not self._may_compute() and self._last is not None:
                return self._last
            self._running = asyncio.create_task(self._refresh())
        # A caller who leaves does not end what others wait for.
        return await asyncio.shield(self._running)

    async def _refresh(self) -> T:
        self._last = await self._compute()
        return self._last

    def _may_compute(self) -> bool:
        now = self._clock()
        self._tokens = min(float(BURST), self._tokens + now - self._filled_at)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
