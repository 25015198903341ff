"""The answers over HTTP. Results of the pipelines become answers here and nowhere else."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from config.settings import DEMO, ChunkOptions
from deployments.api.analyzer import Analysis, GraphHealth, SpeakerResult
from pipelines.results import (
    AccentResult,
    DeepfakeChunk,
    DiarizationResult,
    LanguageResult,
    ModelInfo,
)

TOP_LANGUAGES = 5
DEEPFAKE_PROBABILITY = 0.5
"""A chunk above is AI-generated; a recording with more than half of its chunks so is a deepfake."""
DEMO_NOTICE = (
    "Demo checkpoints: small networks trained on synthetic voices (diarization: random weights), to show the "
    "service at work. Decide nothing by their answers."
)


def _example(**fields: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [fields]})


class Timed(BaseModel):
    """How long it took and how long the recording is, in seconds."""

    processing_time: float
    audio_duration: float


class ModelAnswer(BaseModel):
    """One loaded model."""

    hub_id: str
    revision: str
    source: str
    device: str
    parameters: int

    @classmethod
    def of(cls, info: ModelInfo) -> "ModelAnswer":
        """From a replica's own words."""
        return cls(
            hub_id=info.hub_id,
            revision=info.revision,
            source=info.source,
            device=info.device,
            parameters=info.parameters,
        )


class HealthAnswer(BaseModel):
    """What answers now."""

    model_config = _example(
        status="ok", model_loaded=True, device="cpu", version="0.1.0", demo=True, notice=DEMO_NOTICE,
        models={"language": {"hub_id": "speechbrain/lang-id-voxlingua107-ecapa", "revision": "demo",
                             "source": "demo", "device": "cpu", "parameters": 250715}}, failed={},
    )  # fmt: skip

    status: str
    """``ok``; ``degraded`` where some models answer; ``unavailable`` where none does."""
    model_loaded: bool
    device: str
    version: str
    demo: bool
    notice: str | None = None
    models: dict[str, ModelAnswer]
    failed: dict[str, str]

    @classmethod
    def of(cls, health: GraphHealth, version: str) -> "HealthAnswer":
        """From what the models said."""
        demo = any(info.source == DEMO for info in health.models.values())
        return cls(
            status="ok" if not health.failed else "degraded" if health.models else "unavailable",
            model_loaded=bool(health.models) and not health.failed,
            device=", ".join(sorted({info.device for info in health.models.values()})) or "none",
            version=version,
            demo=demo,
            notice=DEMO_NOTICE if demo else None,
            models={key: ModelAnswer.of(info) for key, info in health.models.items()},
            failed=health.failed,
        )


class LanguageAnswer(BaseModel):
    """Which language is spoken."""

    model_config = _example(
        success=True, language="en", name="English", confidence=0.97, probabilities={"en": 0.97, "cy": 0.01}
    )

    success: bool = True
    language: str
    name: str
    confidence: float
    probabilities: dict[str, float]
    """The most probable languages."""

    @classmethod
    def of(cls, result: LanguageResult) -> "LanguageAnswer":
        """With the few most probable languages."""
        ranked = sorted(result.probabilities.items(), key=lambda pair: -pair[1])[:TOP_LANGUAGES]
        return cls(
            language=result.language,
            name=result.name,
            confidence=result.confidence,
            probabilities=dict(ranked),
        )


class VoiceAnswer(BaseModel):
    """A voice as a vector, and the language that chose its encoder."""

    model_config = _example(
        success=True, embedding=[0.013, -0.042], embedding_size=192, language="en", confidence=0.97,
        model="speechbrain/spkrec-ecapa-voxceleb", revision="demo",
    )  # fmt: skip

    success: bool = True
    embedding: list[float]
    embedding_size: int
    language: str
    confidence: float
    model: str
    revision: str

    @classmethod
    def of(cls, result: SpeakerResult) -> "VoiceAnswer":
        """The vector as the encoder gave it."""
        return cls(
            embedding=result.embedding.vector.tolist(),
            embedding_size=len(result.embedding.vector),
            language=result.language.language,
            confidence=result.language.confidence,
            model=result.embedding.model,
            revision=result.embedding.revision,
        )


class EmbeddingAnswer(Timed):
    """A voice as a vector."""

    model_config = _example(
        embedding=[0.013, -0.042], normalized=True, revision="demo",
        model="speechbrain/spkrec-ecapa-voxceleb", language="en", processing_time=0.05, audio_duration=3.2,
    )  # fmt: skip

    embedding: list[float]
    normalized: bool
    model: str
    revision: str
    language: str

    @classmethod
    def of(cls, result: SpeakerResult, normalize: bool, **timed: float) -> "EmbeddingAnswer":
        """Scaled to length 1 on request."""
        vector = result.embedding.vector
        if normalize:
            vector = vector / max(float(np.linalg.norm(vector)), float(np.finfo(np.float32).tiny))
        return cls(
            embedding=vector.tolist(),
            normalized=normalize,
            model=result.embedding.model,
            revision=result.embedding.revision,
            language=result.language.language,
            **timed,
        )


class UsConfidenceAnswer(BaseModel):
    """How American the English sounds, in percent; 0.0 where another accent is found."""

    model_config = _example(us_confidence=85.67)

    us_confidence: float

    @classmethod
    def of(cls, result: AccentResult, digits: int) -> "UsConfidenceAnswer":
        """Rounded as the service before this one did."""
        return cls(us_confidence=round(100 * result.us_confidence, digits))


class AccentAnswer(UsConfidenceAnswer):
    """The accent found and the probability of every accent."""

    model_config = _example(
        us_confidence=85.67, accent="us", confidence=0.8567, probabilities={"us": 0.8567, "canada": 0.1}
    )

    accent: str
    confidence: float
    probabilities: dict[str, float]

    @classmethod
    def of(cls, result: AccentResult, digits: int) -> "AccentAnswer":
        """The whole distribution."""
        return cls(
            us_confidence=round(100 * result.us_confidence, digits),
            accent=result.accent,
            confidence=result.confidence,
            probabilities=result.probabilities,
        )


class TurnAnswer(BaseModel):
    """One speaker talks from `start` to `end`, in seconds."""

    start: float
    end: float
    speaker: str


class TurnsAnswer(BaseModel):
    """Who spoke when."""

    diarization_results: list[TurnAnswer]
    segments_count: int
    speakers: list[str]

    @classmethod
    def of(cls, result: DiarizationResult, min_duration: float = 0.0, **timed: float) -> "TurnsAnswer":
        """The turns that are at least `min_duration` seconds long."""
        turns = [turn for turn in result.turns if turn.end_s - turn.start_s >= min_duration]
        return cls(
            diarization_results=[
                TurnAnswer(start=round(turn.start_s, 3), end=round(turn.end_s, 3), speaker=turn.speaker)
                for turn in turns
            ],
            segments_count=len(turns),
            speakers=sorted({turn.speaker for turn in turns}),
            **timed,
        )


class DiarizationAnswer(TurnsAnswer, Timed):
    """Who spoke when, and how long it took."""

    model_config = _example(
        diarization_results=[{"start": 0.031, "end": 2.41, "speaker": "SPEAKER_00"}], segments_count=1,
        speakers=["SPEAKER_00"], processing_time=1.2, audio_duration=30.0,
    )  # fmt: skip


class ClassProbabilities(BaseModel):
    """They sum to 1."""

    ai_generated: float
    real: float


class ChunkAnswer(BaseModel):
    """One chunk of the recording; times in seconds."""

    chunk_index: int
    start_time: float
    end_time: float
    is_ai_generated: bool
    confidence: float
    """Probability of the verdict on this chunk."""
    class_probabilities: ClassProbabilities

    @classmethod
    def of(cls, chunk: DeepfakeChunk) -> "ChunkAnswer":
        """The larger probability decides."""
        generated = chunk.score.ai_generated > DEEPFAKE_PROBABILITY
        return cls(
            chunk_index=chunk.index,
            start_time=round(chunk.start_s, 3),
            end_time=round(chunk.end_s, 3),
            is_ai_generated=generated,
            confidence=chunk.score.ai_generated if generated else chunk.score.real,
            class_probabilities=ClassProbabilities(
                ai_generated=chunk.score.ai_generated, real=chunk.score.real
            ),
        )


class DeepfakeSummary(BaseModel):
    """The chunks, counted."""

    total_chunks: int
    ai_generated_chunks: int
    real_chunks: int
    ai_generated_ratio: float
    average_confidence: float
    chunk_duration_seconds: float
    overlap_ratio: float


class DeepfakeAnswer(BaseModel):
    """Which parts of a recording are generated."""

    model_config = _example(
        is_deepfake=False, overall_confidence=0.91, model_loaded=True, total_chunks=1,
        chunks=[{"chunk_index": 0, "start_time": 0.0, "end_time": 5.0, "is_ai_generated": False,
                 "confidence": 0.91, "class_probabilities": {"ai_generated": 0.09, "real": 0.91}}],
        summary={"total_chunks": 1, "ai_generated_chunks": 0, "real_chunks": 1, "ai_generated_ratio": 0.0,
                 "average_confidence": 0.91, "chunk_duration_seconds": 5.0, "overlap_ratio": 0.5},
    )  # fmt: skip

    is_deepfake: bool
    overall_confidence: float
    """Mean probability, over all chunks, of the verdict on the recording."""
    model_loaded: bool = True
    total_chunks: int
    chunks: list[ChunkAnswer]
    summary: DeepfakeSummary

    @classmethod
    def of(cls, chunks: Sequence[DeepfakeChunk], options: ChunkOptions) -> "DeepfakeAnswer":
        """More than half of the chunks decide."""
        answers = [ChunkAnswer.of(chunk) for chunk in chunks]
        generated, total = sum(answer.is_ai_generated for answer in answers), len(answers)
        is_deepfake = generated > total / 2
        mean = sum(chunk.score.ai_generated for chunk in chunks) / total
        return cls(
            is_deepfake=is_deepfake,
            overall_confidence=mean if is_deepfake else 1 - mean,
            total_chunks=total,
            chunks=answers,
            summary=DeepfakeSummary(
                total_chunks=total,
                ai_generated_chunks=generated,
                real_chunks=total - generated,
                ai_generated_ratio=generated / total,
                average_confidence=sum(answer.confidence for answer in answers) / total,
                chunk_duration_seconds=options.chunk_s,
                overlap_ratio=options.overlap,
            ),
        )


class AnalysisAnswer(Timed):
    """All that was asked of one recording; what was not asked for is left out."""

    model_config = _example(
        audio_duration=30.0, processing_time=1.4,
        language={"success": True, "language": "en", "name": "English", "confidence": 0.97,
                  "probabilities": {"en": 0.97}},
    )  # fmt: skip

    language: LanguageAnswer | None = None
    speaker: VoiceAnswer | None = None
    accent: AccentAnswer | None = None
    diarization: TurnsAnswer | None = None
    deepfake: DeepfakeAnswer | None = None

    @classmethod
    def of(cls, analysis: Analysis, options: ChunkOptions, **timed: float) -> "AnalysisAnswer":
        """Each answer as its own endpoint gives it."""
        return cls(
            language=LanguageAnswer.of(analysis.language) if analysis.language else None,
            speaker=VoiceAnswer.of(analysis.speaker) if analysis.speaker else None,
            accent=AccentAnswer.of(analysis.accent, 2) if analysis.accent else None,
            diarization=TurnsAnswer.of(analysis.diarization) if analysis.diarization else None,
            deepfake=DeepfakeAnswer.of(analysis.deepfake, options) if analysis.deepfake else None,
            **timed,
        )
