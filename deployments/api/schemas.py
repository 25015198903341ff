"""The answers over HTTP. Results of the pipelines become answers here and nowhere else."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from config.settings import ChunkOptions
from deployments.api.analyzer import Analysis, SpeakerResult
from pipelines.results import (
    AccentResult,
    DeepfakeChunk,
    DiarizationResult,
    LanguageResult,
)

TOP_LANGUAGES = 5
DEEPFAKE_PROBABILITY = 0.5
"""A chunk above is AI-generated; a recording with more than half of its chunks so is a deepfake."""


def example(**fields: Any) -> ConfigDict:
    """The ``model_config`` of an answer with an example for the documentation."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


class Timed(BaseModel):
    """How long it took and how long the recording is, in seconds."""

    processing_time: float
    audio_duration: float


class Measured(Timed):
    """And on what it was computed."""

    model_device: str
    """``cpu`` or ``cuda:0``, of the model that answered."""


class LanguageAnswer(BaseModel):
    """Which language is spoken."""

    model_config = example(
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

    model_config = example(
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


class EmbeddingAnswer(Measured):
    """A voice as a vector."""

    model_config = example(
        embedding=[0.013, -0.042], normalized=True, revision="demo",
        model="speechbrain/spkrec-ecapa-voxceleb", language="en", processing_time=0.05, audio_duration=3.2,
        model_device="cpu",
    )  # fmt: skip

    embedding: list[float]
    normalized: bool
    model: str
    revision: str
    language: str

    @classmethod
    def of(cls, result: SpeakerResult, normalize: bool, measured: Measured) -> "EmbeddingAnswer":
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
            **measured.model_dump(),
        )


class UsConfidenceAnswer(BaseModel):
    """How American the English sounds, in percent; 0.0 where another accent is found."""

    model_config = example(us_confidence=85.67)

    us_confidence: float

    @classmethod
    def of(cls, result: AccentResult, digits: int) -> "UsConfidenceAnswer":
        """Rounded as the service before this one did."""
        return cls(us_confidence=round(100 * result.us_confidence, digits))


class AccentAnswer(UsConfidenceAnswer):
    """The accent found and the probability of every accent."""

    model_config = example(
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
    def of(cls, result: DiarizationResult, min_duration: float = 0.0, **measured: Any) -> "TurnsAnswer":
        """The turns that are at least `min_duration` seconds long."""
        turns = [turn for turn in result.turns if turn.end_s - turn.start_s >= min_duration]
        return cls(
            diarization_results=[
                TurnAnswer(start=round(turn.start_s, 3), end=round(turn.end_s, 3), speaker=turn.speaker)
                for turn in turns
            ],
            segments_count=len(turns),
            speakers=sorted({turn.speaker for turn in turns}),
            **measured,
        )


class DiarizationAnswer(TurnsAnswer, Measured):
    """Who spoke when, and how long it took."""

    model_config = example(
        diarization_results=[{"start": 0.031, "end": 2.41, "speaker": "SPEAKER_00"}], segments_count=1,
        speakers=["SPEAKER_00"], processing_time=1.2, audio_duration=30.0, model_device="cpu",
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

    model_config = example(
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

    model_config = example(
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


class LineError(BaseModel):
    """Why one recording of many has no answer; as `deployments.api.errors.ErrorAnswer`."""

    detail: str
    error_type: str
    code: str


class BatchLine(BaseModel):
    """One recording of many: its place in the form, its name, and its answer or its error."""

    index: int
    filename: str
    answer: AnalysisAnswer | None = None
    error: LineError | None = None
