"""The answers about the graph itself: its figures are those of all ingress replicas together."""

from collections.abc import Iterable
from datetime import UTC, datetime

from pydantic import BaseModel

from deployments.admission import QueueStatus
from deployments.cache import CacheInfo
from deployments.janitor import CleanupStats, FolderInfo
from deployments.statistics import CleanupStatus, Count, Counts

NOTE = (
    "Recordings are read, decoded and answered in memory; nothing of a request is written to a disk. "
    "The janitor only looks after a folder that other programs write to."
)


class CleanupStatsAnswer(BaseModel):
    """What the janitor has deleted since the start."""

    last_cleanup: datetime | None
    total_cleanups: int
    files_deleted: int
    bytes_freed: int

    @classmethod
    def of(cls, stats: CleanupStats) -> "CleanupStatsAnswer":
        """With the time as ISO 8601."""
        last = stats.last_cleanup
        return cls(
            last_cleanup=None if last is None else datetime.fromtimestamp(last, UTC),
            total_cleanups=stats.total_cleanups,
            files_deleted=stats.files_deleted,
            bytes_freed=stats.bytes_freed,
        )


class EndpointCount(BaseModel):
    """Requests of one endpoint; failed ones were answered 4xx or 5xx."""

    requests: int
    failed: int
    average_time: float
    """Seconds from the first byte in to the last byte out."""


class StatsAnswer(BaseModel):
    """What the graph has done since it started."""

    total_requests: int
    """Questions about a recording, of all endpoints."""
    average_inference_time: float
    """Mean seconds of an answer that the models gave, the cache's left out."""
    cache_hit_rate: float
    """0..1."""
    memory_usage_mb: float
    cache_size: int
    max_cache_size: int
    queue_size: int
    max_queue_size: int
    active_requests: int
    max_concurrent_requests: int
    available_slots: int
    cleanup_enabled: bool
    cleanup_stats: CleanupStatsAnswer
    endpoints: dict[str, EndpointCount]

    @classmethod
    def of(
        cls, counts: Counts, cache: CacheInfo, queue: QueueStatus, cleanup: CleanupStatus, memory_mb: float
    ) -> "StatsAnswer":
        """From what each deployment said."""
        inferences, asked = _total(counts.inferences.values()), cache.hits + cache.misses
        return cls(
            total_requests=_total(counts.requests.values()).number,
            average_inference_time=round(_mean_s(inferences), 4),
            cache_hit_rate=round(cache.hits / asked, 4) if asked else 0.0,
            memory_usage_mb=round(memory_mb, 1),
            cache_size=cache.currsize,
            max_cache_size=cache.maxsize,
            queue_size=queue.queued,
            max_queue_size=queue.max_queued,
            active_requests=len(queue.running),
            max_concurrent_requests=queue.max_running,
            available_slots=max(0, queue.max_running - len(queue.running)),
            cleanup_enabled=cleanup.tunables.uploads_folder is not None,
            cleanup_stats=CleanupStatsAnswer.of(cleanup.stats),
            endpoints={
                path: EndpointCount(
                    requests=count.number, failed=count.failed, average_time=round(_mean_s(count), 4)
                )
                for path, count in sorted(counts.requests.items())
            },
        )


class QueueAnswer(BaseModel):
    """The places of ``/identify`` in the whole graph: who runs, and how many wait."""

    queue_size: int
    max_queue_size: int
    active_requests: int
    max_concurrent_requests: int
    available_slots: int
    queue_full: bool
    semaphore_locked: bool
    """Whether a new request would wait."""
    active_request_ids: list[str]

    @classmethod
    def of(cls, queue: QueueStatus) -> "QueueAnswer":
        """From what admission said."""
        running = len(queue.running)
        return cls(
            queue_size=queue.queued,
            max_queue_size=queue.max_queued,
            active_requests=running,
            max_concurrent_requests=queue.max_running,
            available_slots=max(0, queue.max_running - running),
            queue_full=queue.queued >= queue.max_queued,
            semaphore_locked=running >= queue.max_running,
            active_request_ids=list(queue.running),
        )


class UploadsInfo(BaseModel):
    """What lies in the uploads folder."""

    exists: bool
    file_count: int
    total_size: int
    """Bytes."""

    @classmethod
    def of(cls, info: FolderInfo) -> "UploadsInfo":
        """As it was counted."""
        return cls(exists=info.exists, file_count=info.file_count, total_size=info.total_size)


class CleanupStatusAnswer(BaseModel):
    """What the janitor looks after."""

    cleanup_enabled: bool
    cleanup_interval: float
    """Seconds."""
    max_file_age_hours: float
    uploads_folder: str | None
    uploads_info: UploadsInfo
    cleanup_stats: CleanupStatsAnswer
    in_memory_processing: bool = True
    note: str = NOTE

    @classmethod
    def of(cls, status: CleanupStatus) -> "CleanupStatusAnswer":
        """From what statistics said."""
        return cls(
            cleanup_enabled=status.tunables.uploads_folder is not None,
            cleanup_interval=status.tunables.cleanup_interval_s,
            max_file_age_hours=status.tunables.max_file_age_hours,
            uploads_folder=status.tunables.uploads_folder,
            uploads_info=UploadsInfo.of(status.uploads),
            cleanup_stats=CleanupStatsAnswer.of(status.stats),
        )


class CleanupAnswer(BaseModel):
    """What was deleted just now."""

    message: str
    files_deleted: int
    bytes_freed: int
    cleanup_stats: CleanupStatsAnswer


class CacheInfoAnswer(BaseModel):
    """As functools.lru_cache counts."""

    hits: int
    misses: int
    maxsize: int
    currsize: int

    @classmethod
    def of(cls, info: CacheInfo) -> "CacheInfoAnswer":
        """As the cache counted."""
        return cls(hits=info.hits, misses=info.misses, maxsize=info.maxsize, currsize=info.currsize)


class ClearedAnswer(BaseModel):
    """What was forgotten."""

    message: str
    cache_info: CacheInfoAnswer
    """Before it was cleared."""


class QueueSystem(BaseModel):
    """How many requests of ``/identify`` the graph takes."""

    max_concurrent_requests: int
    max_queue_size: int


class IndexAnswer(BaseModel):
    """The service in a few lines."""

    message: str
    version: str
    docs: str
    response_format: dict[str, str]
    optimizations: list[str]
    queue_system: QueueSystem
    endpoints: dict[str, str]
    """What the application itself has, and a line of each."""


def _total(counts: Iterable[Count]) -> Count:
    return sum(counts, Count())


def _mean_s(count: Count) -> float:
    return count.seconds / count.number if count.number else 0.0
