"""Places for which clients take turns: one that asks for many does not hold up one that asks for one."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class FairPlaces:
    """Places for work; a free one goes to the client whose turn it is, and there to who has waited longest.

    Args:
        places: Returns how many there are, which may change; all that ask without a client's name count as
            one client.
    """

    def __init__(self, places: Callable[[], int]) -> None:
        self._places = places
        self._taken = 0
        self._waiting: dict[str | None, deque[asyncio.Future[None]]] = {}
        """Those that wait, by client; the client whose turn it is stands first."""

    @asynccontextmanager
    async def place(self, client: str | None) -> AsyncIterator[None]:
        """Wait for a place and hold it during the block."""
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(granted)
        self._grant()
        try:
            await granted
            yield
        finally:
            # A caller that leaves while it waits cancels what it waits for.
            if not granted.cancelled():
                self._taken -= 1
                self._grant()

    def _grant(self) -> None:
        while self._waiting and self._taken < self._places():
            client = next(iter(self._waiting))
            queue = self._waiting.pop(client)
            granted = queue.popleft()
            if queue:
                self._waiting[client] = queue
            if not granted.done():
                granted.set_result(None)
                self._taken += 1
