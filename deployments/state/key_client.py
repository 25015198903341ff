"""Counts the requests of API keys in one ingress replica together with those in the others."""

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

from ray.serve.handle import DeploymentHandle

from deployments.state.leases import RENEWAL_INTERVAL_S
from deployments.state.rates import Rates
from voxgraph.calls import Deadline, call
from voxgraph.errors import DeadlineExceeded, ModelUnavailable, Overloaded
from voxgraph.graph import KeyUse

TIMEOUT_S = 1.0
"""Timeout of a call about a key."""


class KeyClient:
    """Counts each request by one call to `GraphState`, whatever limits its key has.

    That a recording has ended is told behind its answer, so that nobody waits for it. While the state cannot
    be reached, this replica counts by itself.
    """

    def __init__(self, state: DeploymentHandle) -> None:
        self._state = state
        self._alone = Rates()
        self._running = Counter[str]()
        """Recordings of each key in progress in this replica."""
        self._held = set[tuple[str, str]]()
        """Key and lease of each place that this replica has in the state."""
        self._ended = set[tuple[str, str]]()
        """Places of recordings that have ended, of which the state may not know yet."""
        self._renewing: asyncio.Task[None] | None = None
        self._background = set[asyncio.Task[None]]()

    @contextlib.asynccontextmanager
    async def using(self, key: str, per_minute: int | None, at_a_time: int | None) -> AsyncIterator[KeyUse]:
        """Count a request while the block answers it, or refuses it for lack of a place.

        The arguments are those of `KeyLimits.use`.
        """
        if at_a_time is None:
            yield await self._use(key, per_minute, None, "")
            return
        # A flood of recordings that this replica can refuse by itself costs the state nothing.
        if self._running[key] >= at_a_time:
            yield KeyUse(has_place=False)
            return
        place = key, uuid.uuid4().hex
        self._running[key] += 1
        self._held.add(place)
        try:
            use = await self._use(key, per_minute, at_a_time, place[1])
            if use.is_let_in:
                self._keep_renewed()
            else:
                self._held.discard(place)
            yield use
        finally:
            self._running[key] -= 1
            if not self._running[key]:
                del self._running[key]
            if place in self._held:
                self._held.discard(place)
                self._ended.add(place)
                self._give_back()

    async def _use(self, key: str, per_minute: int | None, at_a_time: int | None, lease: str) -> KeyUse:
        try:
            use: KeyUse = await call(
                lambda: self._state.use_key.remote(key, per_minute, at_a_time, lease, tuple(self._ended)),
                Deadline.after(TIMEOUT_S),
            )
            return use
        except (ModelUnavailable, DeadlineExceeded, Overloaded):
            left, wait_s = (None, 0.0) if per_minute is None else self._alone.take(key, per_minute)
            return KeyUse(left, wait_s, None if at_a_time is None else at_a_time - self._running[key])

    def _keep_renewed(self) -> None:
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew_periodically())

    async def _renew_periodically(self) -> None:
        """Renew all leases in one call, until there are none."""
        await asyncio.sleep(RENEWAL_INTERVAL_S)
        while self._held:
            await self._tell(lambda: self._state.renew_places.remote(tuple(self._held)))
            await asyncio.sleep(RENEWAL_INTERVAL_S)

    def _give_back(self) -> None:
        """Give back the places of recordings that have ended; the next call about a key says so, too."""
        ended = tuple(self._ended)

        async def tell() -> None:
            try:
                await self._tell(lambda: self._state.give_places_back.remote(ended))
            finally:
                self._ended.difference_update(ended)

        task = asyncio.create_task(tell())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _tell(self, start: Callable[[], Any]) -> None:
        """Make a call that may fail, since leases expire anyway."""
        with contextlib.suppress(Exception):
            await call(start, Deadline.after(TIMEOUT_S))
