"""What the graph counts about itself: cache, places, requests and the folder that the janitor cleans."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """The requests that have a place, and those that wait for one."""

    running: tuple[str, ...]
    """Ids of the requests that have a place."""
    queued: int
    max_running: int
    max_queued: int


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """Statistics of the result cache, named as those of `functools.lru_cache`."""

    hits: int
    misses: int
    maxsize: int
    currsize: int


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
    """Requests and computations of an ingress replica, or of the whole graph."""

    requests: dict[str, Count] = field(default_factory=dict)
    """By path."""
    inferences: dict[str, Count] = field(default_factory=dict)
    """By question; answers from the cache are not counted."""
    cache_hits: int = 0
    cache_misses: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            _sum(self.requests, other.requests),
            _sum(self.inferences, other.inferences),
            self.cache_hits + other.cache_hits,
            self.cache_misses + other.cache_misses,
        )


@dataclass(frozen=True, slots=True)
class FolderInfo:
    """The files of the uploads folder."""

    exists: bool
    file_count: int = 0
    total_size: int = 0
    """Bytes."""


@dataclass(frozen=True, slots=True)
class CleanupStats:
    """What the janitor has deleted since the graph started."""

    last_cleanup: float | None = None
    """Seconds since 1970; None before the first cleanup."""
    total_cleanups: int = 0
    files_deleted: int = 0
    bytes_freed: int = 0


@dataclass(frozen=True, slots=True)
class CleanupStatus:
    """The janitor's folder, its settings, and what it has deleted."""

    uploads_folder: str | None
    max_file_age_hours: float
    cleanup_interval_s: float
    uploads: FolderInfo
    stats: CleanupStats


def _sum(first: dict[str, Count], second: dict[str, Count]) -> dict[str, Count]:
    return {key: first.get(key, Count()) + second.get(key, Count()) for key in {*first, *second}}
