"""Endpoints for the confidence that an accent is American."""

from fastapi import APIRouter, Request

from deployments.api.dependencies import AnalyzerDep
from deployments.api.documentation import takes_recording
from deployments.api.options import AccentOptions, SpeechOptions
from deployments.api.owners import owned_id
from deployments.api.schemas.accent import NotedAccentAnswer, UsConfidenceAnswer
from deployments.api.upload import AudioUpload, WavUpload

router = APIRouter(tags=["accent"])


@router.post("/identify", openapi_extra=takes_recording(AccentOptions, "audio/wav"))
async def identify(
    request: Request, upload: WavUpload, analyzer: AnalyzerDep
) -> NotedAccentAnswer | UsConfidenceAnswer:
    """Return the confidence, in percent, that the accent is American (XLSR model); `detail` adds all accents.

    Takes only WAV, and a bounded number of requests at a time.
    """
    options = upload.options(AccentOptions)
    async with analyzer.state.admitted(owned_id(request)):
        waveform = await upload.decode(options)
        result = await analyzer.identify_accent(waveform, "xlsr", options.allow_no_speech)
    if options.detail:
        return NotedAccentAnswer.from_result(result, 2, quality=upload.quality(result.speech_s))
    return UsConfidenceAnswer.from_result(result, 2)


@router.post("/classify-us-accent", openapi_extra=takes_recording(SpeechOptions))
async def classify_us_accent(upload: AudioUpload, analyzer: AnalyzerDep) -> UsConfidenceAnswer:
    """Return the confidence, in percent, that the accent is American (ECAPA model)."""
    options = upload.options(SpeechOptions)
    waveform = await upload.decode(options)
    result = await analyzer.identify_accent(waveform, "ecapa", options.allow_no_speech)
    return UsConfidenceAnswer.from_result(result, 1)
