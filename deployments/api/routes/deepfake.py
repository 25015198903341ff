"""Which parts are AI-generated."""

from fastapi import APIRouter

from config.checkpoints import CHECKPOINTS
from deployments.api.documentation import RESPONSES, takes_recording
from deployments.api.options import DeepfakeOptions
from deployments.api.routes import AnalyzerDep
from deployments.api.schemas.answers import DeepfakeAnswer
from deployments.api.schemas.health import ModelAnswer, ModelInfoAnswer, ModelStatusAnswer
from deployments.api.upload import AudioUpload
from voxgraph.errors import VoxError
from voxgraph.options import ModelKey
from voxgraph.results import SAMPLE_RATE_HZ

router = APIRouter(prefix="/audio", tags=["deepfake"])

CLASS_NAMES = {"fake": "AI-generated", "real": "real"}


@router.post("/analyze-audio", openapi_extra=takes_recording(DeepfakeOptions))
async def analyze_audio(upload: AudioUpload, analyzer: AnalyzerDep) -> DeepfakeAnswer:
    """Which of the overlapping chunks are AI-generated; more than half of them make a deepfake."""
    chunks = upload.options(DeepfakeOptions).chunks
    return DeepfakeAnswer.from_result(await analyzer.detect_deepfake(await upload.decode(), chunks))


@router.get("/model-status")
async def model_status(analyzer: AnalyzerDep) -> ModelStatusAnswer:
    """Whether the model is loaded, and why not."""
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
    """What is loaded, and what its outputs mean."""
    info = await analyzer.info(ModelKey.DEEPFAKE)
    return ModelInfoAnswer(
        **ModelAnswer.model_validate(info).model_dump(),
        model_name=info.hub_id,
        class_mapping={str(index): CLASS_NAMES[label] for index, label in enumerate(info.labels)},
        sample_rate=SAMPLE_RATE_HZ,
    )
