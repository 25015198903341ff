"""Endpoint that diarizes: who spoke when."""

from fastapi import APIRouter, Request, Response

from deployments.api.dependencies import AnalyzerDep
from deployments.api.documentation import takes_recording, written_as
from deployments.api.negotiation import VARY, choose, turns_file
from deployments.api.options import DiarizationOptions
from deployments.api.schemas.turns import DiarizationAnswer
from deployments.api.upload import AudioUpload, processing_info
from voxgraph.formats import JSON, TURN_FORMATS

router = APIRouter(tags=["diarization"])


@router.post(
    "/diarize",
    openapi_extra=takes_recording(DiarizationOptions),
    response_model=DiarizationAnswer,
    responses=written_as(TURN_FORMATS),
)
async def diarize(
    request: Request, response: Response, upload: AudioUpload, analyzer: AnalyzerDep
) -> DiarizationAnswer | Response:
    """Return who speaks when, in seconds from the start."""
    options = upload.options(DiarizationOptions)
    chosen = choose(request, options.format, (JSON, *TURN_FORMATS))
    found = await analyzer.diarize(await upload.decode(options), options.speakers)
    result = found.without_short_turns(options.min_duration).named(options.names)
    info = await analyzer.info(analyzer.diarization_model)
    if chosen != JSON:
        return turns_file(chosen, upload.name, result, upload.audio_duration, info)
    response.headers.update(VARY)
    return DiarizationAnswer.from_result(
        result,
        quality=upload.quality(),
        **processing_info(info, upload).model_dump(),
    )
