"""Which parts are AI-generated."""

from fastapi import APIRouter

from deployments.api.documentation import takes_recording
from deployments.api.options import DeepfakeOptions
from deployments.api.routes import Asked
from deployments.api.schemas import DeepfakeAnswer
from deployments.api.upload import Sent

router = APIRouter(tags=["deepfake"])


@router.post("/audio/analyze-audio", openapi_extra=takes_recording(DeepfakeOptions))
async def analyze_audio(upload: Sent, analyzer: Asked) -> DeepfakeAnswer:
    """Which of the overlapping chunks are AI-generated; more than half of them make a deepfake."""
    chunks = upload.options(DeepfakeOptions).chunks
    return DeepfakeAnswer.of(await analyzer.detect_deepfake(await upload.decode(), chunks), chunks)
