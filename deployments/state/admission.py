"""How many requests the whole graph runs and lets wait, whatever the number of ingress replicas."""

import asyncio
from collections import deque

from config.settings import GraphStateTunables
from deployments.state.leases import Leases
from voxgraph.errors import Overloaded
from voxgraph.graph import QueueStatus

LOOK_S = 1.0
"""Seconds between two looks for places whose holders died, while somebody waits."""


class Admission:
    """Places, given in the order in which they were asked for.

    `enter` answers a lease, which lapses unless it is renewed; `leave` gives the place back.
    """

    def __init__(self, leases: Leases | None = None) -> None:
        self._tunables = GraphStateTunables()
        self._leases = leases or Leases()
        self._running: dict[str, str] = {}
        """Request id by lease."""
        self._waiting: deque[asyncio.Event] = deque()

    def reconfigure(self, tunables: GraphStateTunables) -> None:
        """Take new bounds; requests that wait stay, even where the queue is now longer than its bound."""
        self._tunables = tunables
        self._wake()

    async def enter(self, request_id: str) -> str:
        """Wait for a place.

        Raises:
            Overloaded: As many wait as may.
        """
        self._free_lapsed()
        if self._waiting or self._is_full():
            await self._wait()
        lease = self._leases.grant()
        self._running[lease] = request_id
        # Several places may have come free at once; each who enters wakes the next.
        self._wake()
        return lease

    def renew(self, lease: str) -> None:
        """Say that the request goes on."""
        self._leases.renew(lease)

    def leave(self, lease: str) -> None:
        """Give the place back."""
        self._leases.end(lease)
        self._running.pop(lease, None)
        self._wake()

    def status(self) -> QueueStatus:
        """Who runs and who waits now."""
        self._free_lapsed()
        return QueueStatus(
            running=tuple(self._running.values()),
            queued=len(self._waiting),
            max_running=self._tunables.max_running,
            max_queued=self._tunables.max_queued,
        )

    async def _wait(self) -> None:
        """Until this caller is the first in line and there is a place."""
        if len(self._waiting) >= self._tunables.max_queued:
            raise Overloaded(
                f"{len(self._running)} requests run and {len(self._waiting)} wait, as many as may; "
                "try again in a moment."
            )
        turn = asyncio.Event()
        self._waiting.append(turn)
        try:
            while self._waiting[0] is not turn or self._is_full():
                turn.clear()
                try:
                    async with asyncio.timeout(LOOK_S):
                        await turn.wait()
                except TimeoutError:
                    self._free_lapsed()
        finally:
            self._waiting.remove(turn)
            self._wake()

    def _is_full(self) -> bool:
        return len(self._running) >= self._tunables.max_running

    def _wake(self) -> None:
        if self._waiting and not self._is_full():
            self._waiting[0].set()

    def _free_lapsed(self) -> None:
        for lease in self._leases.lapse():
            self._running.pop(lease, None)
        self._wake()
