"""The answers about the graph itself: its figures are those of all ingress replicas together."""

from collections.abc import Iterable
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from voxgraph.graph import CacheInfo, CleanupStatus, Count, Counts, QueueStatus

NOTE = (
    "Recordings are read, decoded and answered in memory; nothing of a request is written to a disk. "
    "The janitor only looks after a folder that other programs write to."
)


class CleanupStatsAnswer(BaseModel):
    """What the janitor has deleted since the start."""

    model_config = ConfigDict(from_attributes=True)

    last_cleanup: datetime | None
    total_cleanups: int
    files_deleted: int
    bytes_freed: int


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
    def from_result(
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
            cleanup_enabled=cleanup.uploads_folder is not None,
            cleanup_stats=CleanupStatsAnswer.model_validate(cleanup.stats),
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
    def from_result(cls, queue: QueueStatus) -> "QueueAnswer":
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
    """The files of the uploads folder."""

    model_config = ConfigDict(from_attributes=True)

    exists: bool
    file_count: int
    total_size: int
    """Bytes."""


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
    def from_result(cls, status: CleanupStatus) -> "CleanupStatusAnswer":
        """From what statistics said."""
        return cls(
            cleanup_enabled=status.uploads_folder is not None,
            cleanup_interval=status.cleanup_interval_s,
            max_file_age_hours=status.max_file_age_hours,
            uploads_folder=status.uploads_folder,
            uploads_info=UploadsInfo.model_validate(status.uploads),
            cleanup_stats=CleanupStatsAnswer.model_validate(status.stats),
        )


class CleanupAnswer(BaseModel):
    """What was deleted just now."""

    message: str
    files_deleted: int
    bytes_freed: int
    cleanup_stats: CleanupStatsAnswer


class CacheInfoAnswer(BaseModel):
    """Statistics of the result cache, as `functools.lru_cache` counts."""

    model_config = ConfigDict(from_attributes=True)

    hits: int
    misses: int
    maxsize: int
    currsize: int


class ClearedAnswer(BaseModel):
    """What was forgotten."""

    message: str
    cache_info: CacheInfoAnswer
    """Before it was cleared."""


def _total(counts: Iterable[Count]) -> Count:
    return sum(counts, Count())


def _mean_s(count: Count) -> float:
    return count.seconds / count.number if count.number else 0.0
