"""Endpoints about the whole graph: statistics, queue, cache and uploads folder."""

from fastapi import APIRouter

from deployments.api.compat.graph_schemas import (
    CacheInfoAnswer,
    CleanupAnswer,
    CleanupStatsAnswer,
    CleanupStatusAnswer,
    ClearedAnswer,
    QueueAnswer,
    StatsAnswer,
)
from deployments.api.dependencies import AnalyzerDep
from deployments.api.documentation import RESPONSES

router = APIRouter(tags=["graph"], responses={503: RESPONSES[503], 408: RESPONSES[408]})


@router.get("/stats")
async def stats(analyzer: AnalyzerDep) -> StatsAnswer:
    """Return requests, inference times, cache, queue and memory of all replicas together."""
    state = analyzer.state
    return StatsAnswer.from_result(
        await state.counts(),
        await state.cache_info(),
        await state.queue(),
        await state.cleanup_status(),
        (await analyzer.health()).memory_mb,
    )


@router.get("/queue-status")
async def queue_status(analyzer: AnalyzerDep) -> QueueAnswer:
    """Return the running ``/identify`` requests and the number that wait."""
    return QueueAnswer.from_result(await analyzer.state.queue())


@router.get("/cleanup-status")
async def cleanup_status(analyzer: AnalyzerDep) -> CleanupStatusAnswer:
    """Return the settings of the uploads folder's janitor and what it has deleted."""
    return CleanupStatusAnswer.from_result(await analyzer.state.cleanup_status())


@router.post("/clear-cache")
async def clear_cache(analyzer: AnalyzerDep) -> ClearedAnswer:
    """Clear the result cache."""
    info = await analyzer.state.clear_cache()
    return ClearedAnswer(
        message=f"{info.currsize} cached results cleared.", cache_info=CacheInfoAnswer.model_validate(info)
    )


@router.post("/cleanup-files")
async def cleanup_files(analyzer: AnalyzerDep) -> CleanupAnswer:
    """Delete old files of the uploads folder now."""
    deleted, freed = await analyzer.state.clean()
    status = await analyzer.state.cleanup_status()
    return CleanupAnswer(
        message=f"{deleted} files deleted.",
        files_deleted=deleted,
        bytes_freed=freed,
        cleanup_stats=CleanupStatsAnswer.model_validate(status.stats),
    )
