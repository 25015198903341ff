"""State that all ingress replicas share, in one process: slots of ``/identify``, what keys use,
counts, jobs, the janitor.

It holds plain objects. Ingress replicas reach it through `deployments.state.client`.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from config.settings import GraphStateTunables
from deployments.replica.health import HeldHealthCheck
from deployments.replica.loopback import listen_on_loopback
from deployments.state.admission import Admission
from deployments.state.janitor import Janitor
from deployments.state.jobs import JobBoard
from deployments.state.key_limits import KeyLimits
from voxgraph.graph import CacheInfo, CleanupStatus, Counts, KeyUse, QueueStatus

log = logging.getLogger("ray.serve")

HEARTBEAT_S = 10.0
"""Seconds after which an ingress replica reports even if it has counted nothing."""
EXPIRY_INTERVAL_S = 30.0
"""Seconds after which expired recordings and jobs are dropped even if nobody asks for them."""
HANDOVER_S = 0.02
"""Seconds that a recording waits for a place of its key: one whose answer the client has may be on its way
back from another ingress replica, and who sends one recording after the other must not be refused."""
REPORT_EXPIRY_S = 3 * HEARTBEAT_S
"""Seconds after its last report at which an ingress replica counts as gone."""


@dataclass(frozen=True, slots=True)
class CacheSize:
    """Size and generation of one ingress replica's result cache."""

    generation: int
    """Generation of the entries; a cache of an older one is about to be cleared. It is 0 in the first report
    of a replica, which does not know the current generation yet."""
    entries: int
    max_entries: int


class GraphState(HeldHealthCheck):
    """Admission, keys, counts, jobs and janitor, lost at a restart; `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        listen_on_loopback()
        self._tunables = GraphStateTunables()
        self._clock = clock
        self._admission = Admission()
        self._keys = KeyLimits(clock)
        self._counts = Counts()
        # The time makes it later than any generation of a previous process, unless that ran on a node whose
        # clock was ahead: then caches are cleared again once this clock has caught up.
        self._generation = time.time_ns()
        self._caches: dict[str, tuple[float, CacheSize]] = {}
        """Time of the last report and size of the cache, by ingress replica."""
        self.jobs = JobBoard(clock)
        self._expiry_task: asyncio.Task[None] | None = None
        self._janitor = Janitor(None)
        self._cleanup_task: asyncio.Task[None] | None = None

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Apply the tunables of `user_config`; counts and slots are kept."""
        self._tunables = GraphStateTunables.model_validate(user_config)
        self._admission.reconfigure(self._tunables)
        self.jobs.reconfigure(self._tunables)
        if self._expiry_task is None:
            self._expiry_task = asyncio.create_task(self._expire_periodically())
        folder, stats = self._tunables.uploads_folder, self._janitor.stats
        self._janitor = Janitor(Path(folder) if folder else None)
        self._janitor.stats = stats
        if self._cleanup_task is not None:
            self._cleanup_task.cancel()
        self._cleanup_task = asyncio.create_task(self._clean_periodically()) if folder else None

    async def enter(self, request_id: str, lease: str) -> None:
        """Wait for a slot and hold it by a lease; raises `Overloaded` if the queue is full."""
        await self._admission.enter(request_id, lease)

    async def renew(self, lease: str) -> None:
        """Renew the lease of a slot."""
        self._admission.renew(lease)

    async def leave(self, lease: str) -> None:
        """Release a slot, or end the wait for it."""
        self._admission.leave(lease)

    async def use_key(
        self,
        key: str,
        per_minute: int | None,
        at_a_time: int | None,
        lease: str,
        ended: tuple[tuple[str, str], ...] = (),
    ) -> KeyUse:
        """Count a request of a key, as `KeyLimits.use` does, after giving back the places of `ended`."""
        self._keys.give_back(ended)
        use = self._keys.use(key, per_minute, at_a_time, lease)
        if use.has_place:
            return use
        await asyncio.sleep(HANDOVER_S)
        again = self._keys.use(key, None, at_a_time, lease)
        return replace(again, requests_left=use.requests_left)

    async def renew_places(self, places: tuple[tuple[str, str], ...]) -> None:
        """Renew the places of an ingress replica, named by key and lease."""
        self._keys.renew(places)

    async def give_places_back(self, places: tuple[tuple[str, str], ...]) -> None:
        """Take back the places of recordings that have ended, named by key and lease."""
        self._keys.give_back(places)

    async def queue(self) -> QueueStatus:
        """Return the running requests, the queue length and the limits."""
        return self._admission.status()

    async def report(self, replica: str, counts: Counts, cache: CacheSize) -> int:
        """Add what an ingress replica counted since its last report.

        Return the current generation; a replica clears its cache if the entries are of an older one.
        """
        self._counts += counts
        if not cache.generation:
            cache = replace(cache, generation=self._generation)
        self._caches[replica] = self._clock(), cache
        return self._generation

    async def counts(self) -> Counts:
        """Return the sum of all reports."""
        return self._counts

    async def cache_info(self) -> CacheInfo:
        """Return the statistics of all result caches since they were cleared."""
        oldest = self._clock() - REPORT_EXPIRY_S
        self._caches = {name: entry for name, entry in self._caches.items() if entry[0] >= oldest}
        caches = [cache for _, cache in self._caches.values()]
        return CacheInfo(
            hits=self._counts.cache_hits,
            misses=self._counts.cache_misses,
            maxsize=max((cache.max_entries for cache in caches), default=0),
            currsize=sum(cache.entries for cache in caches if cache.generation == self._generation),
        )

    async def clear_cache(self) -> tuple[CacheInfo, int]:
        """Start a new generation: each ingress replica clears its cache after its next report.

        Return the statistics until now, and the new generation.
        """
        before = await self.cache_info()
        self._generation = max(self._generation + 1, time.time_ns())
        self._counts = Counts(self._counts.requests, self._counts.inferences)
        return before, self._generation

    async def cleanup_status(self) -> CleanupStatus:
        """Return the janitor's folder and settings, and what it has deleted."""
        uploads = await asyncio.to_thread(self._janitor.info)
        tunables = self._tunables
        settings = tunables.uploads_folder, tunables.max_file_age_hours, tunables.cleanup_interval_s
        return CleanupStatus(*settings, uploads, self._janitor.stats)

    async def clean(self) -> tuple[int, int]:
        """Delete old files now; return their number and their bytes."""
        return await asyncio.to_thread(self._janitor.clean, self._tunables.max_file_age_hours * 3600)

    async def ask_jobs(self, method: str, *arguments: Any) -> Any:
        """Call a method of `JobBoard`."""
        return await getattr(self.jobs, method)(*arguments)

    async def _expire_periodically(self) -> None:
        while True:
            await asyncio.sleep(EXPIRY_INTERVAL_S)
            self.jobs.expire()

    async def _clean_periodically(self) -> None:
        while True:
            try:
                await self.clean()
            except Exception:
                log.exception(
                    "The uploads folder could not be cleaned; the next attempt is in %g s.",
                    self._tunables.cleanup_interval_s,
                )
            await asyncio.sleep(self._tunables.cleanup_interval_s)
