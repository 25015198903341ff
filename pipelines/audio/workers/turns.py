"""Take turns: of more recordings than may be decoded at once, those that had the least time go first."""

import asyncio
import heapq
import itertools


class Turns:
    """Places in which recordings are decoded for a while, so that a short one never waits for a long one."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    async def take(self, used_s: float) -> None:
        """Wait for a place.

        Args:
            used_s: Seconds that the recording had a place for, up to now.
        """
        if self._free:
            self._free -= 1
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (used_s, next(self._numbers), waiting))
        try:
            await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():
                self.give()
            raise

    def give(self) -> None:
        """Give the place to whoever waits and had the least time."""
        while self._waiting:
            _, _, waiting = heapq.heappop(self._waiting)
            if not waiting.done():
                waiting.set_result(None)
                return
        self._free += 1

    def is_wanted(self, used_s: float) -> bool:
        """Whether a recording waits that had less time."""
        while self._waiting and self._waiting[0][2].done():
            heapq.heappop(self._waiting)
        return bool(self._waiting) and self._waiting[0][0] < used_s
