"""Response bodies about the graph itself; the figures cover all ingress replicas together."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from voxgraph.graph import CacheInfo, CleanupStatus, Count, Counts, QueueStatus

NOTE = (
    "Recordings are read, decoded and processed in memory; no part of a request is written to disk. "
    "The janitor only cleans a folder that other programs write to."
)


class CleanupStatsAnswer(BaseModel):
    """What the janitor has deleted since the graph started."""

    model_config = ConfigDict(from_attributes=True)

    last_cleanup: datetime | None
    total_cleanups: int
    files_deleted: int
    bytes_freed: int


class EndpointCount(BaseModel):
    """Requests of one endpoint; those answered 4xx or 5xx count as failed."""

    requests: int
    failed: int
    average_time: float
    """Mean seconds from the first byte received to the last byte sent."""


class StatsAnswer(BaseModel):
    """Statistics of the graph since it started."""

    total_requests: int
    """Requests about a recording, over all endpoints."""
    average_inference_time: float
    """Mean seconds of an inference; answers from the cache are not counted."""
    cache_hit_rate: float
    """Share of cache lookups that hit, 0..1."""
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
        """Build the answer from the graph's counters and the memory of its processes."""
        inferences, lookups = _total(counts.inferences.values()), cache.hits + cache.misses
        return cls(
            total_requests=_total(counts.requests.values()).number,
            average_inference_time=_mean_s(inferences),
            cache_hit_rate=round(cache.hits / lookups, 4) if lookups else 0.0,
            memory_usage_mb=round(memory_mb, 1),
            cache_size=cache.currsize,
            max_cache_size=cache.maxsize,
            **_queue_fields(queue),
            cleanup_enabled=cleanup.uploads_folder is not None,
            cleanup_stats=CleanupStatsAnswer.model_validate(cleanup.stats),
            endpoints={
                path: EndpointCount(requests=count.number, failed=count.failed, average_time=_mean_s(count))
                for path, count in sorted(counts.requests.items())
            },
        )


class QueueAnswer(BaseModel):
    """The admission queue of ``/identify`` in the whole graph."""

    queue_size: int
    max_queue_size: int
    active_requests: int
    max_concurrent_requests: int
    available_slots: int
    queue_full: bool
    semaphore_locked: bool
    """Whether a new request has to wait."""
    active_request_ids: list[str]

    @classmethod
    def from_result(cls, queue: QueueStatus) -> "QueueAnswer":
        """Build the answer from the state of admission."""
        return cls(
            **_queue_fields(queue),
            queue_full=queue.queued >= queue.max_queued,
            semaphore_locked=len(queue.running) >= queue.max_running,
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
    """The janitor's folder, its settings and what it has deleted."""

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
        """Build the answer from the janitor's status."""
        return cls(
            cleanup_enabled=status.uploads_folder is not None,
            cleanup_interval=status.cleanup_interval_s,
            max_file_age_hours=status.max_file_age_hours,
            uploads_folder=status.uploads_folder,
            uploads_info=UploadsInfo.model_validate(status.uploads),
            cleanup_stats=CleanupStatsAnswer.model_validate(status.stats),
        )


class CleanupAnswer(BaseModel):
    """What a cleanup has deleted."""

    message: str
    files_deleted: int
    bytes_freed: int
    cleanup_stats: CleanupStatsAnswer


class CacheInfoAnswer(BaseModel):
    """Statistics of the result cache, with the names of `functools.lru_cache`."""

    model_config = ConfigDict(from_attributes=True)

    hits: int
    misses: int
    maxsize: int
    currsize: int


class ClearedAnswer(BaseModel):
    """The cache that was cleared."""

    message: str
    cache_info: CacheInfoAnswer
    """Statistics from before the cache was cleared."""


def _queue_fields(queue: QueueStatus) -> dict[str, Any]:
    """Return the fields that `StatsAnswer` and `QueueAnswer` share."""
    return {
        "queue_size": queue.queued,
        "max_queue_size": queue.max_queued,
        "active_requests": len(queue.running),
        "max_concurrent_requests": queue.max_running,
        "available_slots": max(0, queue.max_running - len(queue.running)),
    }


def _total(counts: Iterable[Count]) -> Count:
    return sum(counts, Count())


def _mean_s(count: Count) -> float:
    return round(count.seconds / count.number, 4) if count.number else 0.0
