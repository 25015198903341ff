"""All questions of one recording, or of many."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence

from fastapi import APIRouter
from starlette.responses import StreamingResponse

from deployments.api.documentation import takes_form, takes_recording
from deployments.api.errors import INTERNAL, error_type
from deployments.api.options import AnalyzeOptions
from deployments.api.routes import AnalyzerDep
from deployments.api.schemas.answers import AnalysisAnswer, BatchLine, LineError
from deployments.api.service import GraphAnalyzer
from deployments.api.upload import AudioUpload, Upload, UploadBatch
from voxgraph.errors import DeadlineExceeded, VoxError

log = logging.getLogger("ray.serve")

router = APIRouter(prefix="/v1", tags=["analyze"])

BATCH_WINDOW = 4
"""Recordings of one request under way at a time."""
BATCH_WITHIN_S = 1800.0
"""Seconds after which the lines that are left say so: later Serve would break off (`request_timeout_s`)."""
NDJSON = "application/x-ndjson"


@router.post("/analyze", openapi_extra=takes_recording(AnalyzeOptions), response_model_exclude_none=True)
async def analyze(upload: AudioUpload, analyzer: AnalyzerDep) -> AnalysisAnswer:
    """One upload, all questions side by side, one answer; `tasks` chooses."""
    return await _analysis(upload, analyzer, upload.options(AnalyzeOptions))


@router.post(
    "/batch",
    openapi_extra=takes_form(("file",), AnalyzeOptions, many=True),
    response_class=StreamingResponse,
    responses={200: {"content": {NDJSON: {"schema": BatchLine.model_json_schema()}},
                     "description": "A line of JSON per recording, as each is ready."}},
)  # fmt: skip
async def batch(uploads: UploadBatch, analyzer: AnalyzerDep) -> StreamingResponse:
    """Many uploads in one form, a line of JSON for each as soon as it is ready.

    A recording that cannot be answered has its error in its own line and costs the others nothing.
    """
    options = uploads[0].options(AnalyzeOptions)
    return StreamingResponse(_lines(uploads, analyzer, options), media_type=NDJSON)


async def _lines(
    uploads: Sequence[Upload], analyzer: GraphAnalyzer, options: AnalyzeOptions
) -> AsyncIterator[str]:
    """Lines as they are ready, in no order; when the client goes, what is under way is cancelled."""
    places = asyncio.Semaphore(BATCH_WINDOW)
    ends_at = asyncio.get_running_loop().time() + BATCH_WITHIN_S

    async def one(index: int, upload: Upload) -> BatchLine:
        try:
            async with asyncio.timeout_at(ends_at), places:
                answer = await _analysis(upload, analyzer, options)
        except Exception as error:
            return BatchLine(index=index, filename=upload.name, error=_failure(error))
        return BatchLine(index=index, filename=upload.name, answer=answer)

    tasks = [asyncio.create_task(one(index, upload)) for index, upload in enumerate(uploads)]
    try:
        for ready in asyncio.as_completed(tasks):
            yield (await ready).model_dump_json(exclude_none=True) + "\n"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _failure(error: Exception) -> LineError:
    """What a line says in place of an answer."""
    if isinstance(error, TimeoutError):
        error = DeadlineExceeded(f"It was not ready within the {BATCH_WITHIN_S:g} s of all.")
    if isinstance(error, VoxError):
        return LineError(detail=error.detail, error_type=error_type(error), code=error.code)
    log.error("A recording of a batch failed", exc_info=error)
    return LineError(detail=INTERNAL, error_type="ProcessingError", code="internal")


async def _analysis(upload: Upload, analyzer: GraphAnalyzer, options: AnalyzeOptions) -> AnalysisAnswer:
    waveform = await upload.decode()
    try:
        analysis = await analyzer.analyze(waveform, options.tasks, options.speakers, options.chunks)
    finally:
        upload.release()
    return AnalysisAnswer.from_result(
        analysis,
        processing_time=upload.processing_time,
        audio_duration=upload.audio_duration,
    )
