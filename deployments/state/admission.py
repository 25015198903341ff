"""Admission control: limits the running and waiting requests of the whole graph, across ingress replicas."""

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Callable

from config.settings import GraphStateTunables
from voxgraph.errors import Overloaded
from voxgraph.graph import QueueStatus

LEASE_S = 10.0
"""Seconds after which a lease expires if it is not renewed: a crashed ingress replica releases its slots."""
EXPIRY_CHECK_S = 1.0
"""Seconds between two checks for expired leases while a request waits."""


class Admission:
    """A limited number of slots, granted in the order of the requests.

    `enter` returns a lease, which expires unless it is renewed; `leave` releases the slot. `clock` is
    monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._tunables = GraphStateTunables()
        self._clock = clock
        self._running: dict[str, str] = {}
        """Id of each running request, by lease."""
        self._expires_at: dict[str, float] = {}
        """Time at which each lease expires."""
        self._waiting: deque[asyncio.Event] = deque()

    def reconfigure(self, tunables: GraphStateTunables) -> None:
        """Apply new limits; waiting requests stay, even if the queue is now longer than its limit."""
        self._tunables = tunables
        self._wake_next()

    async def enter(self, request_id: str) -> str:
        """Wait for a slot and return its lease.

        Raises:
            Overloaded: The queue is full.
        """
        self._free_expired()
        if self._waiting or self._is_full():
            await self._wait()
        lease = uuid.uuid4().hex
        self._running[lease] = request_id
        self._expires_at[lease] = self._clock() + LEASE_S
        # Several slots may have become free at once, so each request that enters wakes the next.
        self._wake_next()
        return lease

    def renew(self, lease: str) -> None:
        """Extend the lease of a running request; an expired one stays expired."""
        if lease in self._running:
            self._expires_at[lease] = self._clock() + LEASE_S

    def leave(self, lease: str) -> None:
        """Release the slot; do nothing if the lease has expired."""
        self._running.pop(lease, None)
        self._expires_at.pop(lease, None)
        self._wake_next()

    def status(self) -> QueueStatus:
        """Return the running requests, the queue length and the limits."""
        self._free_expired()
        return QueueStatus(
            running=tuple(self._running.values()),
            queued=len(self._waiting),
            max_running=self._tunables.max_running,
            max_queued=self._tunables.max_queued,
        )

    async def _wait(self) -> None:
        """Wait until this request is the first in the queue and a slot is free."""
        if len(self._waiting) >= self._tunables.max_queued:
            raise Overloaded(
                f"The queue is full: {len(self._running)} requests run and {len(self._waiting)} wait; "
                "try again in a moment."
            )
        turn = asyncio.Event()
        self._waiting.append(turn)
        try:
            while self._waiting[0] is not turn or self._is_full():
                turn.clear()
                try:
                    async with asyncio.timeout(EXPIRY_CHECK_S):
                        await turn.wait()
                except TimeoutError:
                    self._free_expired()
        finally:
            self._waiting.remove(turn)
            self._wake_next()

    def _is_full(self) -> bool:
        return len(self._running) >= self._tunables.max_running

    def _wake_next(self) -> None:
        if self._waiting and not self._is_full():
            self._waiting[0].set()

    def _free_expired(self) -> None:
        for lease in [lease for lease, end in self._expires_at.items() if end <= self._clock()]:
            self.leave(lease)
