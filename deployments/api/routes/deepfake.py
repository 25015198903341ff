"""Endpoints that detect AI-generated speech."""

from fastapi import APIRouter, Request, Response

from config.checkpoints import CHECKPOINTS
from deployments.api.dependencies import AnalyzerDep
from deployments.api.documentation import RESPONSES, takes_recording, written_as
from deployments.api.negotiation import VARY, choose, chunks_file
from deployments.api.options import DeepfakeFileOptions
from deployments.api.schemas.deepfake import NotedDeepfakeAnswer
from deployments.api.schemas.health import ModelAnswer, ModelInfoAnswer, ModelStatusAnswer
from deployments.api.upload import AudioUpload
from voxgraph.errors import VoxError
from voxgraph.formats import CHUNK_FORMATS, JSON
from voxgraph.options import ModelKey
from voxgraph.results import SAMPLE_RATE_HZ

router = APIRouter(prefix="/audio", tags=["deepfake"])

CLASS_NAMES = {"fake": "AI-generated", "real": "real"}


@router.post(
    "/analyze-audio",
    openapi_extra=takes_recording(DeepfakeFileOptions),
    response_model=NotedDeepfakeAnswer,
    responses=written_as(CHUNK_FORMATS),
)
async def analyze_audio(
    request: Request, response: Response, upload: AudioUpload, analyzer: AnalyzerDep
) -> NotedDeepfakeAnswer | Response:
    """Classify overlapping chunks; a recording with more than half of them AI-generated is a deepfake."""
    options = upload.options(DeepfakeFileOptions)
    chosen = choose(request, options.format, (JSON, *CHUNK_FORMATS))
    waveform = await upload.decode(options)
    verdict = await analyzer.detect_deepfake(waveform, options.chunks, options.allow_no_speech)
    if chosen != JSON:
        return chunks_file(chosen, upload.name, verdict)
    response.headers.update(VARY)
    return NotedDeepfakeAnswer.from_result(verdict, quality=upload.quality(verdict.speech_s))


@router.get("/model-status")
async def model_status(analyzer: AnalyzerDep) -> ModelStatusAnswer:
    """Return whether the model is loaded, and if not, why."""
    name = CHECKPOINTS[ModelKey.DEEPFAKE].hub_id
    try:
        info = await analyzer.info(ModelKey.DEEPFAKE)
    except VoxError as error:
        return ModelStatusAnswer(
            model_loaded=False, status="unavailable", model_name=name, device=None, detail=error.detail
        )
    return ModelStatusAnswer(model_loaded=True, status="ready", model_name=name, device=info.device)


@router.get("/model-info", responses={503: RESPONSES[503]})
async def model_info(analyzer: AnalyzerDep) -> ModelInfoAnswer:
    """Return what is loaded and what the model's outputs mean."""
    info = await analyzer.info(ModelKey.DEEPFAKE)
    return ModelInfoAnswer(
        **ModelAnswer.model_validate(info).model_dump(),
        model_name=info.hub_id,
        class_mapping={str(index): CLASS_NAMES[label] for index, label in enumerate(info.labels)},
        sample_rate=SAMPLE_RATE_HZ,
    )
