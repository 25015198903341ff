"""Admission control: limits the running and waiting requests of the whole graph, across ingress replicas."""

import asyncio
import time
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

    A request takes a slot for a lease, an id that its caller has chosen; so the caller can give the slot back
    even if the answer that it has one is lost. The lease expires unless it is renewed. `clock` is monotonic,
    in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._tunables = GraphStateTunables()
        self._clock = clock
        self._running: dict[str, str] = {}
        """Id of each running request, by lease."""
        self._expires_at: dict[str, float] = {}
        """Time at which each lease expires."""
        self._waiting = deque[tuple[str, asyncio.Event]]()
        """Lease and turn of each request in the queue."""
        self._left: dict[str, float] = {}
        """Leases that were given back before they had a slot, and until when that is remembered."""

    def reconfigure(self, tunables: GraphStateTunables) -> None:
        """Apply new limits; waiting requests stay, even if the queue is now longer than its limit."""
        self._tunables = tunables
        self._wake_next()

    async def enter(self, request_id: str, lease: str) -> None:
        """Wait for a slot and hold it by a lease; the same lease takes no second slot.

        A request whose lease was given back meanwhile, or before, gets none: nobody waits for it.

        Raises:
            Overloaded: The queue is full.
        """
        self._free_expired()
        if self._is_known(lease):
            return
        if self._waiting or self._is_full():
            await self._wait(lease)
        if not self._is_known(lease):
            self._running[lease] = request_id
            self._expires_at[lease] = self._clock() + LEASE_S
        # Several slots may have become free at once, so each request that enters wakes the next.
        self._wake_next()

    def renew(self, lease: str) -> None:
        """Extend the lease of a running request; an expired one stays expired."""
        if lease in self._running:
            self._expires_at[lease] = self._clock() + LEASE_S

    def leave(self, lease: str) -> None:
        """Release the slot, or end the wait for it; do nothing if the lease has expired."""
        if self._running.pop(lease, None) is None:
            # Its request may be in the queue, or still on its way.
            self._left[lease] = self._clock() + LEASE_S
            for waiting, turn in self._waiting:
                if waiting == lease:
                    turn.set()
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

    async def _wait(self, lease: str) -> None:
        """Wait until this request is the first in the queue and a slot is free, or it has left."""
        if len(self._waiting) >= self._tunables.max_queued:
            raise Overloaded(
                f"The queue is full: {len(self._running)} requests run and {len(self._waiting)} wait; "
                "try again in a moment."
            )
        turn = asyncio.Event()
        self._waiting.append((lease, turn))
        try:
            while not self._is_known(lease) and (self._waiting[0][1] is not turn or self._is_full()):
                turn.clear()
                try:
                    async with asyncio.timeout(EXPIRY_CHECK_S):
                        await turn.wait()
                except TimeoutError:
                    self._free_expired()
        finally:
            self._waiting.remove((lease, turn))
            self._wake_next()

    def _is_known(self, lease: str) -> bool:
        """Whether a request has a slot already, or has left."""
        return lease in self._running or lease in self._left

    def _is_full(self) -> bool:
        return len(self._running) >= self._tunables.max_running

    def _wake_next(self) -> None:
        if self._waiting and not self._is_full():
            self._waiting[0][1].set()

    def _free_expired(self) -> None:
        now = self._clock()
        for lease in [lease for lease, end in self._expires_at.items() if end <= now]:
            self.leave(lease)
        self._left = {lease: end for lease, end in self._left.items() if end > now}
