"""Response bodies, each made from a result in `voxgraph.results`, which defines what the values mean."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from voxgraph.results import (
    AccentResult,
    Analysis,
    DeepfakeChunk,
    DeepfakeVerdict,
    DiarizationResult,
    Finding,
    LanguageResult,
    SpeakerResult,
)


def example(**fields: Any) -> ConfigDict:
    """Return a ``model_config`` with an example for the documentation."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


class TimingInfo(BaseModel):
    """Processing time and duration of the recording, in seconds."""

    processing_time: float
    audio_duration: float


class ProcessingInfo(TimingInfo):
    """Times in seconds, and the device of the model that answered."""

    model_device: str
    """``cpu`` or ``cuda:0``."""


class LanguageAnswer(BaseModel):
    """The spoken language."""

    model_config = example(
        success=True, language="en", name="English", confidence=0.97, probabilities={"en": 0.97, "cy": 0.01},
        calibrated=True, uncertain=False, warning=None,
    )  # fmt: skip

    success: bool = True
    language: str
    name: str
    confidence: float
    probabilities: dict[str, float]
    """The most probable languages."""
    calibrated: bool
    """Whether the probabilities were calibrated on labelled speech."""
    uncertain: bool
    """Whether the answer is less certain than its probability says; `warning` has the reason."""
    warning: str | None = None

    @classmethod
    def from_result(cls, result: LanguageResult) -> "LanguageAnswer":
        """Build the answer with the `TOP_LANGUAGES` most probable languages."""
        return cls(
            language=result.language,
            name=result.name,
            confidence=result.confidence,
            probabilities=result.top(),
            calibrated=result.calibrated,
            uncertain=result.warning is not None,
            warning=result.warning,
        )


class VoiceAnswer(BaseModel):
    """The embedding of a voice, and the language that selected its encoder."""

    model_config = example(
        success=True, embedding=[0.013, -0.042], embedding_size=192, language="en", confidence=0.97,
        model="speechbrain/spkrec-ecapa-voxceleb", revision="eac27266f68caa806381260bd44ace38b136c76a",
    )  # fmt: skip

    success: bool = True
    embedding: list[float]
    embedding_size: int
    language: str | None = None
    """Null if the request named the encoder: then no language was detected."""
    confidence: float | None = None
    """Probability of the language, 0..1, or null with it."""
    model: str
    revision: str

    @classmethod
    def from_result(cls, result: SpeakerResult) -> "VoiceAnswer":
        """Build the answer with the vector as the encoder returned it, not scaled."""
        language = result.language
        return cls(
            embedding=result.embedding.vector.tolist(),
            embedding_size=len(result.embedding.vector),
            language=None if language is None else language.language,
            confidence=None if language is None else language.confidence,
            model=result.embedding.model,
            revision=result.embedding.revision,
        )


class EmbeddingAnswer(ProcessingInfo):
    """The embedding of a voice."""

    model_config = example(
        embedding=[0.013, -0.042], normalized=True, revision="eac27266f68caa806381260bd44ace38b136c76a",
        model="speechbrain/spkrec-ecapa-voxceleb", language="en", processing_time=0.05, audio_duration=3.2,
        model_device="cpu",
    )  # fmt: skip

    embedding: list[float]
    normalized: bool
    model: str
    revision: str
    language: str | None = None
    """Null if the request named the encoder: then no language was detected."""

    @classmethod
    def from_result(cls, result: SpeakerResult, normalize: bool, info: ProcessingInfo) -> "EmbeddingAnswer":
        """Build the answer; `normalize` scales the vector to length 1."""
        embedding = result.embedding.normalized() if normalize else result.embedding
        return cls(
            embedding=embedding.vector.tolist(),
            normalized=normalize,
            model=embedding.model,
            revision=embedding.revision,
            language=None if result.language is None else result.language.language,
            **info.model_dump(),
        )


class UsConfidenceAnswer(BaseModel):
    """Confidence that the accent is American, in percent; 0.0 if another accent is more probable."""

    model_config = example(us_confidence=85.67)

    us_confidence: float

    @classmethod
    def from_result(cls, result: AccentResult, digits: int) -> "UsConfidenceAnswer":
        """Build the answer; `digits` is the number of decimals of the percentage."""
        return cls(us_confidence=round(100 * result.us_confidence, digits))


class AccentAnswer(UsConfidenceAnswer):
    """The most probable accent and the probability of every accent."""

    model_config = example(
        us_confidence=85.67, accent="us", confidence=0.8567, probabilities={"us": 0.8567, "canada": 0.1},
        calibrated=False,
    )  # fmt: skip

    accent: str
    confidence: float
    probabilities: dict[str, float]
    calibrated: bool
    """Whether the probabilities were fitted on labelled real speech."""

    @classmethod
    def from_result(cls, result: AccentResult, digits: int) -> "AccentAnswer":
        """Build the answer with the probability of every accent."""
        return cls(
            us_confidence=round(100 * result.us_confidence, digits),
            accent=result.accent,
            confidence=result.confidence,
            probabilities=result.probabilities,
            calibrated=result.calibrated,
        )


class TurnAnswer(BaseModel):
    """A span in which one speaker talks, in seconds."""

    start: float
    end: float
    speaker: str


class TurnsAnswer(BaseModel):
    """The turns of a recording and its speakers."""

    diarization_results: list[TurnAnswer]
    segments_count: int
    speakers: list[str]

    @classmethod
    def from_result(cls, result: DiarizationResult, **processing: Any) -> Self:
        """Build the answer with times rounded to milliseconds."""
        turns = [
            TurnAnswer(start=round(turn.start_s, 3), end=round(turn.end_s, 3), speaker=turn.speaker)
            for turn in result.turns
        ]
        speakers = list(result.speakers)
        return cls(diarization_results=turns, segments_count=len(turns), speakers=speakers, **processing)


class DiarizationAnswer(TurnsAnswer, ProcessingInfo):
    """The turns of a recording, its speakers and the processing time."""

    model_config = example(
        diarization_results=[{"start": 0.031, "end": 2.41, "speaker": "SPEAKER_00"}], segments_count=1,
        speakers=["SPEAKER_00"], processing_time=1.2, audio_duration=30.0, model_device="cpu",
    )  # fmt: skip


class ClassProbabilities(BaseModel):
    """Probabilities of the two classes; they sum to 1."""

    ai_generated: float
    real: float


class ChunkAnswer(BaseModel):
    """The verdict on one chunk of a recording; times in seconds."""

    chunk_index: int
    start_time: float
    end_time: float
    is_ai_generated: bool
    confidence: float
    """Probability that the chunk is AI-generated if it counts as such, else that it is real; 0..1."""
    class_probabilities: ClassProbabilities
    verdict: Finding
    """``ai_generated``, ``inconclusive`` or ``no_sign_found``, by the operating points."""

    @classmethod
    def from_result(cls, chunk: DeepfakeChunk) -> "ChunkAnswer":
        """Build the answer with times rounded to milliseconds."""
        score = chunk.score
        return cls(
            chunk_index=chunk.index,
            start_time=round(chunk.start_s, 3),
            end_time=round(chunk.end_s, 3),
            is_ai_generated=score.is_ai_generated,
            confidence=score.confidence,
            class_probabilities=ClassProbabilities(ai_generated=score.ai_generated, real=score.real),
            verdict=score.verdict,
        )


class OperatingPointsAnswer(BaseModel):
    """The probabilities between which a finding is inconclusive."""

    model_config = ConfigDict(from_attributes=True)

    ai_generated: float
    """Probability above which a chunk counts as AI-generated."""
    no_sign_found: float
    """Probability below which a chunk shows no sign of generation."""
    fitted: bool
    """Whether they were fitted on labelled recordings."""


class DeepfakeSummary(BaseModel):
    """Counts and means over all chunks."""

    total_chunks: int
    ai_generated_chunks: int
    real_chunks: int
    """Number of chunks that do not count as AI-generated, the inconclusive ones included."""
    ai_generated_ratio: float
    average_confidence: float
    chunk_duration_seconds: float
    overlap_ratio: float


class DeepfakeAnswer(BaseModel):
    """The verdict on a recording and on each of its chunks."""

    model_config = example(
        is_deepfake=False, overall_confidence=0.91, model_loaded=True, total_chunks=1,
        chunks=[{"chunk_index": 0, "start_time": 0.0, "end_time": 5.0, "is_ai_generated": False,
                 "confidence": 0.91, "class_probabilities": {"ai_generated": 0.09, "real": 0.91},
                 "verdict": "no_sign_found"}],
        summary={"total_chunks": 1, "ai_generated_chunks": 0, "real_chunks": 1, "ai_generated_ratio": 0.0,
                 "average_confidence": 0.91, "chunk_duration_seconds": 5.0, "overlap_ratio": 0.5},
        verdict="no_sign_found",
        operating_points={"ai_generated": 0.5, "no_sign_found": 0.1, "fitted": False}, advice=None,
    )  # fmt: skip

    is_deepfake: bool
    """Whether the verdict is ``ai_generated``."""
    overall_confidence: float
    """Mean probability, over all chunks, that they are AI-generated if that is the verdict, else that they
    are real; 0..1."""
    model_loaded: bool = True
    total_chunks: int
    chunks: list[ChunkAnswer]
    summary: DeepfakeSummary
    verdict: Finding
    """``ai_generated``, ``inconclusive`` or ``no_sign_found``."""
    operating_points: OperatingPointsAnswer
    advice: str | None = None
    """What to know about the detector before relying on the verdict."""

    @classmethod
    def from_result(cls, verdict: DeepfakeVerdict) -> "DeepfakeAnswer":
        """Build the answer with every chunk and their summary."""
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
            verdict=verdict.verdict,
            operating_points=OperatingPointsAnswer.model_validate(verdict.points),
            advice=verdict.advice,
        )


class AnalysisAnswer(TimingInfo):
    """The answers of all requested tasks; a task that was not requested is left out."""

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
    def from_result(cls, analysis: Analysis, **timing: float) -> "AnalysisAnswer":
        """Build the answer; each task has the same answer as its own endpoint."""
        return cls(
            language=LanguageAnswer.from_result(analysis.language) if analysis.language else None,
            speaker=VoiceAnswer.from_result(analysis.speaker) if analysis.speaker else None,
            accent=AccentAnswer.from_result(analysis.accent, 2) if analysis.accent else None,
            diarization=TurnsAnswer.from_result(analysis.diarization) if analysis.diarization else None,
            deepfake=DeepfakeAnswer.from_result(analysis.deepfake) if analysis.deepfake else None,
            **timing,
        )


class LineError(BaseModel):
    """The error of one recording of a batch, with fields of `deployments.api.errors.ErrorAnswer`."""

    detail: str
    error_type: str
    code: str


class BatchLine(BaseModel):
    """One recording of a batch: its index in the form, its file name, and its answer or its error."""

    index: int
    filename: str
    answer: AnalysisAnswer | None = None
    error: LineError | None = None
