"""All questions of one recording."""

from fastapi import APIRouter

from deployments.api.documentation import takes_recording
from deployments.api.options import AnalyzeOptions
from deployments.api.routes import Asked
from deployments.api.schemas import AnalysisAnswer
from deployments.api.upload import Sent

router = APIRouter(prefix="/v1", tags=["analyze"])


@router.post("/analyze", openapi_extra=takes_recording(AnalyzeOptions), response_model_exclude_none=True)
async def analyze(upload: Sent, analyzer: Asked) -> AnalysisAnswer:
    """One upload, all questions side by side, one answer; `tasks` chooses."""
    options = upload.options(AnalyzeOptions)
    waveform = await upload.decode()
    analysis = await analyzer.analyze(waveform, options.tasks, options.speakers, options.chunks)
    return AnalysisAnswer.of(
        analysis,
        options.chunks,
        processing_time=upload.processing_time,
        audio_duration=upload.audio_duration,
    )
