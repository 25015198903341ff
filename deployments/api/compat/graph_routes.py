"""Endpoints about the whole graph: statistics, queue, cache and uploads folder."""

from fastapi import APIRouter

from deployments.api.compat import graph_schemas as schemas
from deployments.api.dependencies import AnalyzerDep
from deployments.api.documentation import RESPONSES

router = APIRouter(tags=["graph"], responses={503: RESPONSES[503], 408: RESPONSES[408]})


@router.get("/stats")
async def stats(analyzer: AnalyzerDep) -> schemas.StatsAnswer:
    """Return requests, inference times, cache, queue and memory of all replicas together."""
    state = analyzer.state
    totals = await state.counts(), await state.cache_info(), await state.queue(), await state.cleanup_status()
    return schemas.StatsAnswer.from_result(*totals, (await analyzer.health()).memory_mb)


@router.get("/queue-status")
async def queue_status(analyzer: AnalyzerDep) -> schemas.QueueAnswer:
    """Return the running ``/identify`` requests and the number that wait."""
    return schemas.QueueAnswer.from_result(await analyzer.state.queue())


@router.get("/cleanup-status")
async def cleanup_status(analyzer: AnalyzerDep) -> schemas.CleanupStatusAnswer:
    """Return the settings of the uploads folder's janitor and what it has deleted."""
    return schemas.CleanupStatusAnswer.from_result(await analyzer.state.cleanup_status())


@router.post("/clear-cache")
async def clear_cache(analyzer: AnalyzerDep) -> schemas.ClearedAnswer:
    """Clear the result cache."""
    info = await analyzer.state.clear_cache()
    message = f"{info.currsize} cached results cleared."
    return schemas.ClearedAnswer(message=message, cache_info=schemas.CacheInfoAnswer.model_validate(info))


@router.post("/cleanup-files")
async def cleanup_files(analyzer: AnalyzerDep) -> schemas.CleanupAnswer:
    """Delete old files of the uploads folder now."""
    deleted, freed = await analyzer.state.clean()
    stats = schemas.CleanupStatsAnswer.model_validate((await analyzer.state.cleanup_status()).stats)
    return schemas.CleanupAnswer(
        message=f"{deleted} files deleted.", files_deleted=deleted, bytes_freed=freed, cleanup_stats=stats
    )
