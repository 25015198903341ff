"""Endpoint that detects the language."""

from fastapi import APIRouter

from deployments.api.dependencies import AnalyzerDep
from deployments.api.documentation import takes_recording
from deployments.api.options import LanguageOptions
from deployments.api.schemas.language import NotedLanguageAnswer
from deployments.api.upload import AudioUpload

router = APIRouter(tags=["language"])


@router.post("/detect-language", openapi_extra=takes_recording(LanguageOptions))
async def detect_language(upload: AudioUpload, analyzer: AnalyzerDep) -> NotedLanguageAnswer:
    """Detect which language is spoken, among all that the model knows or among `languages`."""
    options = upload.options(LanguageOptions)
    waveform = await upload.decode(options)
    result = await analyzer.detect_language(waveform, options.languages, options.allow_no_speech)
    return NotedLanguageAnswer.from_result(result, quality=upload.quality(result.speech_s))
