"""Endpoints about the whole graph: statistics, queue, cache and uploads folder."""

from fastapi import APIRouter, FastAPI, Request

from deployments.api.compat import graph_schemas as schemas
from deployments.api.dependencies import AnalyzerDep
from deployments.api.documentation import RESPONSES
from deployments.api.owners import own_ids

router = APIRouter(tags=["graph"], responses={503: RESPONSES[503], 408: RESPONSES[408]})


async def collect(app: FastAPI) -> schemas.StatsAnswer:
    """Ask all parts of the graph for the answer of ``/stats``."""
    state = app.state.analyzer.state
    totals = await state.counts(), await state.cache_info(), await state.queue(), await state.cleanup_status()
    return schemas.StatsAnswer.from_result(*totals, (await app.state.health.get()).memory_mb)


@router.get("/stats")
async def stats(request: Request) -> schemas.StatsAnswer:
    """Return requests, inference times, cache, queue and memory of all replicas together."""
    answer: schemas.StatsAnswer = await request.app.state.stats.get()
    return answer


@router.get("/queue-status")
async def queue_status(request: Request, analyzer: AnalyzerDep) -> schemas.QueueAnswer:
    """Return the numbers of ``/identify`` requests that run and wait, and the ids of the caller's own."""
    answer = schemas.QueueAnswer.from_result(await analyzer.state.queue())
    return answer.model_copy(update={"active_request_ids": own_ids(request, answer.active_request_ids)})


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
