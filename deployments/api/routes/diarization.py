"""Endpoint that diarizes: who spoke when."""

from fastapi import APIRouter

from deployments.api.dependencies import AnalyzerDep
from deployments.api.documentation import takes_recording
from deployments.api.options import DiarizationOptions
from deployments.api.schemas.turns import DiarizationAnswer
from deployments.api.upload import AudioUpload, processing_info

router = APIRouter(tags=["diarization"])


@router.post("/diarize", openapi_extra=takes_recording(DiarizationOptions))
async def diarize(upload: AudioUpload, analyzer: AnalyzerDep) -> DiarizationAnswer:
    """Return who speaks when, in seconds from the start."""
    options = upload.options(DiarizationOptions)
    result = await analyzer.diarize(await upload.decode(options), options.speakers)
    info = await analyzer.info(analyzer.diarization_model)
    return DiarizationAnswer.from_result(
        result.without_short_turns(options.min_duration),
        quality=upload.quality(),
        **processing_info(info, upload).model_dump(),
    )
