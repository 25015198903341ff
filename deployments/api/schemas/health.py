"""Response bodies about the models: what is loaded, where it runs, what failed."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from config.settings import STARTER
from deployments.api.schemas.common import example
from voxgraph.options import ModelKey
from voxgraph.results import GraphHealth

STARTER_NOTICE = (
    "Starter checkpoints: real, small models; their cards in checkpoints/starter say what they were "
    "measured on."
)
"""Notice of every graph that has loaded a starter checkpoint."""


class LiveAnswer(BaseModel):
    """The answer of a server that runs."""

    status: Literal["alive"]


class SpeakerCalibrationAnswer(BaseModel):
    """The log-likelihood ratio of one speaker against two is ``slope * similarity + intercept``, in nats."""

    model_config = ConfigDict(from_attributes=True)

    slope: float
    intercept: float


class ModelAnswer(BaseModel):
    """One loaded model, copied from a `voxgraph.results.ModelInfo`."""

    model_config = ConfigDict(from_attributes=True)

    hub_id: str
    revision: str
    source: str
    device: str
    parameters: int
    engine: str
    """``torch`` or ``openvino``."""
    precision: str
    """Number format that the network computes in: ``float32``, ``bfloat16`` or ``float16``."""
    engine_reason: str
    """Reason for the choice of engine, in a sentence."""
    batch_items: int
    """Most clips of one forward pass, as the replica measured when it started."""
    same_speaker: SpeakerCalibrationAnswer | None = None
    """Calibration of a speaker encoder; null for other models and for encoders that have none."""


class HealthAnswer(BaseModel):
    """Which models are available now."""

    model_config = example(
        status="ok", model_loaded=True, device="cpu", memory_usage_mb=2900.0, version="0.1.0",
        checkpoints="starter", notice=STARTER_NOTICE, diarization_model_loaded=True,
        verification_model_loaded=True, models_loaded=True,
        models={"language": {"hub_id": "openai/whisper-base", "revision": "starter-95ddad3b28dc",
                             "source": "starter", "device": "cpu", "parameters": 42712576,
                             "engine": "openvino", "precision": "bfloat16",
                             "engine_reason": "The processor computes bfloat16 faster than float32.",
                             "batch_items": 1}}, failed={},
    )  # fmt: skip

    status: str
    """``ok``; ``degraded`` if some models are available; ``unavailable`` if none is."""
    model_loaded: bool
    """Whether every model is loaded."""
    diarization_model_loaded: bool
    verification_model_loaded: bool
    """Whether both speaker encoders are loaded."""
    models_loaded: bool
    """Whether the speaker encoders and the language model, which voice matching needs, are loaded."""
    device: str
    memory_usage_mb: float
    """Memory of one replica of each model and of the ingress replica that answers, in 10^6 bytes."""
    version: str
    checkpoints: str
    """Sources of the loaded models, ``hub``, ``starter`` or ``local``, separated by commas; ``none`` if no
    model is loaded."""
    galleries: bool = False
    """Whether the graph keeps galleries of voices; if not, it keeps nothing."""
    notice: str | None = None
    """What to know about the checkpoints before relying on their answers."""
    models: dict[str, ModelAnswer]
    failed: dict[str, str]

    @classmethod
    def from_result(cls, health: GraphHealth, version: str, *, galleries: bool = False) -> "HealthAnswer":
        """Build the answer from the health of the graph, which keeps `galleries` or not."""
        loaded = {*health.models}
        diarizers = {ModelKey.DIARIZATION_31, ModelKey.DIARIZATION_COMMUNITY_1}
        voices = {ModelKey.SPEAKER_VOXCELEB, ModelKey.SPEAKER_CNCELEB}
        sources = {info.source for info in health.models.values()}
        return cls(
            status="ok" if not health.failed else "degraded" if health.models else "unavailable",
            model_loaded=bool(health.models) and not health.failed,
            diarization_model_loaded=bool(diarizers & loaded),
            verification_model_loaded=voices <= loaded,
            models_loaded={*voices, ModelKey.LANGUAGE} <= loaded,
            memory_usage_mb=round(health.memory_mb, 1),
            device=", ".join(sorted({info.device for info in health.models.values()})) or "none",
            version=version,
            galleries=galleries,
            checkpoints=", ".join(sorted(sources)) or "none",
            notice=STARTER_NOTICE if STARTER in sources else None,
            models={key: ModelAnswer.model_validate(info) for key, info in health.models.items()},
            failed=health.failed,
        )


class ModelStatusAnswer(BaseModel):
    """Whether the deepfake detector is available."""

    model_config = example(
        model_loaded=True, status="ready", model_name="mo-thecreator/Deepfake-audio-detection",
        device="cpu", detail=None,
    )  # fmt: skip

    model_loaded: bool
    status: str
    """``ready`` or ``unavailable``."""
    model_name: str
    device: str | None
    detail: str | None = None
    """Reason why the model is unavailable."""


class ModelInfoAnswer(ModelAnswer):
    """The deepfake detector: what is loaded and what its outputs mean."""

    model_config = example(
        model_name="mo-thecreator/Deepfake-audio-detection", class_mapping={"0": "AI-generated", "1": "real"},
        sample_rate=16000, hub_id="mo-thecreator/Deepfake-audio-detection", source="hub",
        revision="a2ad1e2bc38ffb8239a2d720a337c7cfbd29a291", device="cpu", parameters=94568322,
    )  # fmt: skip

    model_name: str
    class_mapping: dict[str, str]
    """Class of each output index, from the checkpoint's own configuration."""
    sample_rate: int
    """Sample rate that recordings are resampled to, in hertz."""
