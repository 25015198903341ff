"""Which language is spoken."""

from fastapi import APIRouter

from deployments.api.documentation import takes_recording
from deployments.api.routes import AnalyzerDep
from deployments.api.schemas.answers import LanguageAnswer
from deployments.api.upload import AudioUpload

router = APIRouter(tags=["language"])


@router.post("/detect-language", openapi_extra=takes_recording())
async def detect_language(upload: AudioUpload, analyzer: AnalyzerDep) -> LanguageAnswer:
    """Which language is spoken, of 107."""
    return LanguageAnswer.from_result(await analyzer.detect_language(await upload.decode()))
