"""Who spoke when."""

from fastapi import APIRouter

from deployments.api.documentation import takes_recording
from deployments.api.options import DiarizationOptions
from deployments.api.routes import Asked
from deployments.api.schemas import DiarizationAnswer
from deployments.api.upload import Sent, measured

router = APIRouter(tags=["diarization"])


@router.post("/diarize", openapi_extra=takes_recording(DiarizationOptions))
async def diarize(upload: Sent, analyzer: Asked) -> DiarizationAnswer:
    """Who speaks when, in seconds from the start."""
    options = upload.options(DiarizationOptions)
    result = await analyzer.diarize(await upload.decode(), options.speakers)
    answer = DiarizationAnswer.of(
        result,
        options.min_duration,
        **measured(await analyzer.info(analyzer.diarization_model), upload).model_dump(),
    )
    assert isinstance(answer, DiarizationAnswer)
    return answer
