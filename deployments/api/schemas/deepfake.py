"""The response bodies of a deepfake detection."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from deployments.api.schemas.common import example
from deployments.api.schemas.quality import EXAMPLE, Noted
from voxgraph.results import DeepfakeChunk, DeepfakeVerdict, Finding


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
    def from_result(cls, verdict: DeepfakeVerdict, **others: Any) -> Self:
        """Build the answer with every chunk and their summary; `others` are further fields."""
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
            **others,
        )


class NotedDeepfakeAnswer(DeepfakeAnswer, Noted):
    """The verdict on a recording."""

    model_config = example(
        is_deepfake=False, overall_confidence=0.91, model_loaded=True, total_chunks=1,
        chunks=[{"chunk_index": 0, "start_time": 0.0, "end_time": 5.0, "is_ai_generated": False,
                 "confidence": 0.91, "class_probabilities": {"ai_generated": 0.09, "real": 0.91},
                 "verdict": "no_sign_found"}],
        summary={"total_chunks": 1, "ai_generated_chunks": 0, "real_chunks": 1, "ai_generated_ratio": 0.0,
                 "average_confidence": 0.91, "chunk_duration_seconds": 5.0, "overlap_ratio": 0.5},
        verdict="no_sign_found",
        operating_points={"ai_generated": 0.5, "no_sign_found": 0.1, "fitted": False}, advice=None,
        quality=EXAMPLE,
    )  # fmt: skip
