"""A voice as a vector."""

from fastapi import APIRouter

from deployments.api.documentation import takes_recording
from deployments.api.options import EmbeddingOptions
from deployments.api.routes import Asked
from deployments.api.schemas import EmbeddingAnswer, VoiceAnswer
from deployments.api.upload import Sent

router = APIRouter(tags=["speaker"])


@router.post("/extract-embedding", openapi_extra=takes_recording())
async def extract_embedding(upload: Sent, analyzer: Asked) -> VoiceAnswer:
    """A voice as 192 numbers; the language spoken decides the encoder, and the answer names both."""
    return VoiceAnswer.of(await analyzer.embed(await upload.decode()))


@router.post("/embedding", openapi_extra=takes_recording(EmbeddingOptions))
async def embedding(upload: Sent, analyzer: Asked) -> EmbeddingAnswer:
    """A voice as 192 numbers, scaled to length 1 unless told otherwise."""
    options = upload.options(EmbeddingOptions)
    result = await analyzer.embed(await upload.decode())
    return EmbeddingAnswer.of(
        result,
        options.normalize,
        processing_time=upload.processing_time,
        audio_duration=upload.audio_duration,
    )
