"""Status of the graph itself: admission queue, result cache, request counts, uploads folder and jobs."""

from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """The requests that hold an admission slot, and those that wait for one."""

    running: tuple[str, ...]
    """Ids of the requests that hold a slot."""
    queued: int
    max_running: int
    max_queued: int


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What a request of an API key finds of the key's limits; None where there is no limit."""

    requests_left: int | None = None
    """Requests that may follow at once."""
    wait_s: float = 0.0
    """Seconds until the request may come; 0 if its rate lets it in."""
    places_left: int | None = None
    """Recordings that may be in progress besides."""
    has_place: bool = True
    """Whether there is a place for the request's recording, or it needs none."""

    @property
    def is_let_in(self) -> bool:
        """Whether the request is within all limits."""
        return self.has_place and not self.wait_s


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """Statistics of the result cache; the names are those of `functools.lru_cache`."""

    hits: int
    misses: int
    maxsize: int
    currsize: int


@dataclass(frozen=True, slots=True)
class Count:
    """Number and total duration of the requests of one endpoint, or of the inferences for one question."""

    number: int = 0
    failed: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Count") -> "Count":
        return Count(self.number + other.number, self.failed + other.failed, self.seconds + other.seconds)


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests and inferences of one ingress replica, or of the whole graph."""

    requests: dict[str, Count] = field(default_factory=dict)
    """Requests of each endpoint; the keys are paths."""
    inferences: dict[str, Count] = field(default_factory=dict)
    """Inferences for each question; answers from the cache are not counted."""
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
    """Number and size of the files in the uploads folder."""

    exists: bool
    file_count: int = 0
    total_size: int = 0
    """Total size in bytes."""


@dataclass(frozen=True, slots=True)
class CleanupStats:
    """What the janitor has deleted since the graph started."""

    last_cleanup: float | None = None
    """Unix time in seconds; None before the first cleanup."""
    total_cleanups: int = 0
    files_deleted: int = 0
    bytes_freed: int = 0


@dataclass(frozen=True, slots=True)
class CleanupStatus:
    """The janitor's folder and settings, and what it has deleted."""

    uploads_folder: str | None
    max_file_age_hours: float
    cleanup_interval_s: float
    uploads: FolderInfo
    stats: CleanupStats


class JobStatus(StrEnum):
    """What has become of a job; the names are those of pyannoteAI's web API."""

    CREATED = "created"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether the job has ended; then its status never changes."""
        return self in (JobStatus.SUCCEEDED, JobStatus.FAILED)


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A job that is kept in memory; times are Unix times in seconds."""

    id: str
    status: JobStatus
    created_at: float
    updated_at: float
    output: str = ""
    """JSON of the result of a job that succeeded; why one failed; empty for others."""


def _sum(first: dict[str, Count], second: dict[str, Count]) -> dict[str, Count]:
    return {key: first.get(key, Count()) + second.get(key, Count()) for key in {*first, *second}}
