"""The answers over HTTP. Each is made of a result of `voxgraph.results`, which decides what it means."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from voxgraph.results import (
    AccentResult,
    Analysis,
    DeepfakeChunk,
    DeepfakeVerdict,
    DiarizationResult,
    LanguageResult,
    SpeakerResult,
)


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
    def from_result(cls, result: LanguageResult) -> "LanguageAnswer":
        """Make the answer with the few most probable languages."""
        return cls(
            language=result.language,
            name=result.name,
            confidence=result.confidence,
            probabilities=result.top(),
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
    def from_result(cls, result: SpeakerResult) -> "VoiceAnswer":
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
    def from_result(cls, result: SpeakerResult, normalize: bool, measured: Measured) -> "EmbeddingAnswer":
        """Scaled to length 1 on request."""
        embedding = result.embedding.normalized() if normalize else result.embedding
        return cls(
            embedding=embedding.vector.tolist(),
            normalized=normalize,
            model=embedding.model,
            revision=embedding.revision,
            language=result.language.language,
            **measured.model_dump(),
        )


class UsConfidenceAnswer(BaseModel):
    """How American the English sounds, in percent; 0.0 where another accent is found."""

    model_config = example(us_confidence=85.67)

    us_confidence: float

    @classmethod
    def from_result(cls, result: AccentResult, digits: int) -> "UsConfidenceAnswer":
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
    def from_result(cls, result: AccentResult, digits: int) -> "AccentAnswer":
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
    def from_result(cls, result: DiarizationResult, **measured: Any) -> Self:
        """Make the answer with times in milliseconds."""
        return cls(
            diarization_results=[
                TurnAnswer(start=round(turn.start_s, 3), end=round(turn.end_s, 3), speaker=turn.speaker)
                for turn in result.turns
            ],
            segments_count=len(result.turns),
            speakers=list(result.speakers),
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
    def from_result(cls, chunk: DeepfakeChunk) -> "ChunkAnswer":
        """Make the answer with times in milliseconds."""
        score = chunk.score
        return cls(
            chunk_index=chunk.index,
            start_time=round(chunk.start_s, 3),
            end_time=round(chunk.end_s, 3),
            is_ai_generated=score.is_ai_generated,
            confidence=score.confidence,
            class_probabilities=ClassProbabilities(ai_generated=score.ai_generated, real=score.real),
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
    def from_result(cls, verdict: DeepfakeVerdict) -> "DeepfakeAnswer":
        """Make the answer with every chunk and their summary."""
        total, generated = len(verdict.chunks), verdict.ai_generated_chunks
        return cls(
            is_deepfake=verdict.is_deepfake,
            overall_confidence=verdict.confidence,
            total_chunks=total,
            chunks=[ChunkAnswer.from_result(chunk) for chunk in verdict.chunks],
            summary=DeepfakeSummary(
                total_chunks=total,
                ai_generated_chunks=generated,
                real_chunks=total - generated,
                ai_generated_ratio=generated / total,
                average_confidence=verdict.chunk_confidence,
                chunk_duration_seconds=verdict.options.chunk_s,
                overlap_ratio=verdict.options.overlap,
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
    def from_result(cls, analysis: Analysis, **timed: float) -> "AnalysisAnswer":
        """Each answer as its own endpoint gives it."""
        return cls(
            language=LanguageAnswer.from_result(analysis.language) if analysis.language else None,
            speaker=VoiceAnswer.from_result(analysis.speaker) if analysis.speaker else None,
            accent=AccentAnswer.from_result(analysis.accent, 2) if analysis.accent else None,
            diarization=TurnsAnswer.from_result(analysis.diarization) if analysis.diarization else None,
            deepfake=DeepfakeAnswer.from_result(analysis.deepfake) if analysis.deepfake else None,
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
