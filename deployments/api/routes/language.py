"""Which language is spoken."""

from fastapi import APIRouter

from deployments.api.documentation import takes_recording
from deployments.api.routes import Asked
from deployments.api.schemas import LanguageAnswer
from deployments.api.upload import Sent

router = APIRouter(tags=["language"])


@router.post("/detect-language", openapi_extra=takes_recording())
async def detect_language(upload: Sent, analyzer: Asked) -> LanguageAnswer:
    """Which language is spoken, of 107."""
    return LanguageAnswer.of(await analyzer.detect_language(await upload.decode()))
