"""All tasks for many recordings of one form."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence

from fastapi import APIRouter
from starlette.responses import StreamingResponse

from deployments.api.dependencies import AnalyzerDep
from deployments.api.documentation import takes_form
from deployments.api.errors import INTERNAL_ERROR, error_type
from deployments.api.galleries import GalleriesDep, TenantGalleries
from deployments.api.negotiation import NDJSON, STREAMS
from deployments.api.options import BatchOptions
from deployments.api.routes.analyze import answer_of
from deployments.api.schemas.analysis import BatchLine, LineError
from deployments.api.service import GraphAnalyzer
from deployments.api.upload import Upload, UploadBatch
from voxgraph.errors import DeadlineExceeded, VoxError

log = logging.getLogger("ray.serve")

router = APIRouter(prefix="/v1", tags=["analyze"])

BATCH_WINDOW = 4
"""Recordings of one request that are processed at a time."""
BATCH_WITHIN_S = 1800.0
"""Seconds until the remaining lines get a timeout error; Serve's `request_timeout_s` would cut the stream."""
UNBUFFERED_HEADERS = {"x-accel-buffering": "no", "cache-control": "no-cache"}
"""Tell nginx, and proxies that understand its header, to pass each line on when it comes."""


@router.post(
    "/batch",
    openapi_extra=takes_form(("file",), BatchOptions, many=True),
    response_class=StreamingResponse,
    responses={200: {"content": {STREAMS[NDJSON]: {"schema": BatchLine.model_json_schema()}},
                     "description": "One line of JSON per recording, in the order in which they are ready."}},
)  # fmt: skip
async def batch(uploads: UploadBatch, analyzer: AnalyzerDep, galleries: GalleriesDep) -> StreamingResponse:
    """Run the chosen `tasks` on many recordings of one form; answer each in a line of JSON when it is ready.

    A recording that cannot be answered has its error in its own line and does not affect the others.
    """
    options = uploads[0].options(BatchOptions)
    await galleries.check(options.gallery)
    return StreamingResponse(
        _lines(uploads, analyzer, galleries, options), media_type=STREAMS[NDJSON], headers=UNBUFFERED_HEADERS
    )


async def _lines(
    uploads: Sequence[Upload], analyzer: GraphAnalyzer, galleries: TenantGalleries, options: BatchOptions
) -> AsyncIterator[str]:
    """Yield the lines as they are ready; cancel the rest when the client disconnects."""
    slots = asyncio.Semaphore(BATCH_WINDOW)
    deadline = asyncio.get_running_loop().time() + BATCH_WITHIN_S

    async def line(index: int, upload: Upload) -> BatchLine:
        try:
            async with asyncio.timeout_at(deadline), slots:
                answer = await answer_of(upload, analyzer, galleries, options)
        except Exception as error:
            return BatchLine(index=index, filename=upload.name, error=_line_error(error))
        return BatchLine(index=index, filename=upload.name, answer=answer)

    tasks = [asyncio.create_task(line(index, upload)) for index, upload in enumerate(uploads)]
    try:
        for ready in asyncio.as_completed(tasks):
            yield (await ready).model_dump_json(exclude_none=True) + "\n"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _line_error(error: Exception) -> LineError:
    """Describe the error of a line that has no answer."""
    if isinstance(error, TimeoutError):
        error = DeadlineExceeded(f"The answer was not ready within {BATCH_WITHIN_S:g} s, the batch's limit.")
    if isinstance(error, VoxError):
        return LineError(detail=error.detail, error_type=error_type(error), code=error.code)
    log.error("A recording of a batch failed", exc_info=error)
    return LineError(detail=INTERNAL_ERROR, error_type="ProcessingError", code="internal")
