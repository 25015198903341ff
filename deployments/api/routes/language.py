"""Endpoint that detects the language."""

from fastapi import APIRouter

from deployments.api.dependencies import AnalyzerDep
from deployments.api.documentation import takes_recording
from deployments.api.schemas.answers import LanguageAnswer
from deployments.api.upload import AudioUpload

router = APIRouter(tags=["language"])


@router.post("/detect-language", openapi_extra=takes_recording())
async def detect_language(upload: AudioUpload, analyzer: AnalyzerDep) -> LanguageAnswer:
    """Detect which of 107 languages is spoken."""
    return LanguageAnswer.from_result(await analyzer.detect_language(await upload.decode()))
