"""What the whole graph has done, of all ingress replicas; and the janitor of the uploads folder."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.settings import StatisticsTunables
from deployments.janitor import CleanupStats, FolderInfo, Janitor
from deployments.watched import Watched


@dataclass(frozen=True, slots=True)
class Count:
    """Requests of one endpoint, or computations of one question."""

    number: int = 0
    failed: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Count") -> "Count":
        return Count(self.number + other.number, self.failed + other.failed, self.seconds + other.seconds)


@dataclass(frozen=True, slots=True)
class Counts:
    """What one ingress replica has to report."""

    requests: dict[str, Count] = field(default_factory=dict)
    """By path."""
    inferences: dict[str, Count] = field(default_factory=dict)
    """By question; answers from the cache are none."""


@dataclass(frozen=True, slots=True)
class CleanupStatus:
    """What the janitor looks after and what it did."""

    tunables: StatisticsTunables
    uploads: FolderInfo
    stats: CleanupStats


class Statistics(Watched):
    """Counts, in memory: they begin anew with the graph."""

    def __init__(self) -> None:
        self._tunables = StatisticsTunables()
        self._counts = Counts()
        self._janitor = Janitor(None)
        self._rounds: asyncio.Task[None] | None = None

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take a new folder, age and interval; the counts stay."""
        self._tunables = StatisticsTunables.model_validate(user_config)
        folder, stats = self._tunables.uploads_folder, self._janitor.stats
        self._janitor = Janitor(Path(folder) if folder else None)
        self._janitor.stats = stats
        if self._rounds is not None:
            self._rounds.cancel()
        self._rounds = asyncio.create_task(self._clean_for_ever()) if folder else None

    async def add(self, counts: Counts) -> None:
        """Add what an ingress replica counted since it reported last."""
        self._counts = Counts(
            _sum(self._counts.requests, counts.requests), _sum(self._counts.inferences, counts.inferences)
        )

    async def counts(self) -> Counts:
        """All that was reported."""
        return self._counts

    async def cleanup_status(self) -> CleanupStatus:
        """The folder and what was deleted from it."""
        uploads = await asyncio.to_thread(self._janitor.info)
        return CleanupStatus(self._tunables, uploads, self._janitor.stats)

    async def clean(self) -> tuple[int, int]:
        """Delete what is too old now: files, bytes."""
        return await asyncio.to_thread(self._janitor.clean, self._tunables.max_file_age_hours * 3600)

    async def _clean_for_ever(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                await self.clean()
            await asyncio.sleep(self._tunables.cleanup_interval_s)


def _sum(first: Mapping[str, Count], second: Mapping[str, Count]) -> dict[str, Count]:
    return {key: first.get(key, Count()) + second.get(key, Count()) for key in {*first, *second}}
