"""What the whole graph has done and how full it is."""

from fastapi import APIRouter

from deployments.api.documentation import RESPONSES
from deployments.api.graph_schemas import (
    CacheInfoAnswer,
    CleanupAnswer,
    CleanupStatsAnswer,
    CleanupStatusAnswer,
    ClearedAnswer,
    QueueAnswer,
    StatsAnswer,
)
from deployments.api.routes import Asked

router = APIRouter(tags=["graph"], responses={503: RESPONSES[503], 408: RESPONSES[408]})


@router.get("/stats")
async def stats(analyzer: Asked) -> StatsAnswer:
    """Requests, inference times, cache, queue and memory, of all replicas together."""
    shared = analyzer.shared
    return StatsAnswer.of(
        await shared.counts(),
        await shared.cache_info(),
        await shared.queue(),
        await shared.cleanup_status(),
        (await analyzer.health()).memory_mb,
    )


@router.get("/queue-status")
async def queue_status(analyzer: Asked) -> QueueAnswer:
    """Who has a place and how many wait."""
    return QueueAnswer.of(await analyzer.shared.queue())


@router.get("/cleanup-status")
async def cleanup_status(analyzer: Asked) -> CleanupStatusAnswer:
    """The janitor of the uploads folder."""
    return CleanupStatusAnswer.of(await analyzer.shared.cleanup_status())


@router.post("/clear-cache")
async def clear_cache(analyzer: Asked) -> ClearedAnswer:
    """Forget every kept answer."""
    info = await analyzer.shared.clear_cache()
    return ClearedAnswer(message=f"{info.currsize} answers forgotten.", cache_info=CacheInfoAnswer.of(info))


@router.post("/cleanup-files")
async def cleanup_files(analyzer: Asked) -> CleanupAnswer:
    """Delete what is too old in the uploads folder, now."""
    deleted, freed = await analyzer.shared.clean()
    status = await analyzer.shared.cleanup_status()
    return CleanupAnswer(
        message=f"{deleted} files deleted.",
        files_deleted=deleted,
        bytes_freed=freed,
        cleanup_stats=CleanupStatsAnswer.of(status.stats),
    )
