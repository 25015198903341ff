"""Which parts of a recording are AI-generated."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from voxgraph.options import ChunkOptions


class Finding(StrEnum):
    """What a detector found. There is no value for real speech: no detector can prove it."""

    AI_GENERATED = "ai_generated"
    INCONCLUSIVE = "inconclusive"
    NO_SIGN_FOUND = "no_sign_found"


@dataclass(frozen=True, slots=True)
class OperatingPoints:
    """The two probabilities that divide the findings of a detector."""

    ai_generated: float = 0.5
    """Probability above which a chunk counts as AI-generated, 0..1."""
    no_sign_found: float = 0.1
    """Probability below which a chunk shows no sign of generation, at most `ai_generated`."""
    fitted: bool = False
    """Whether the points were fitted on labelled recordings. The default points are not."""

    def finding(self, probability: float) -> Finding:
        """Return what a probability of generated speech means."""
        if probability > self.ai_generated:
            return Finding.AI_GENERATED
        return Finding.NO_SIGN_FOUND if probability < self.no_sign_found else Finding.INCONCLUSIVE


@dataclass(frozen=True, slots=True)
class DeepfakeScore:
    """Probabilities that one chunk is AI-generated or real, and what they mean for their detector."""

    ai_generated: float
    """Probability that the chunk is AI-generated, 0..1."""
    real: float
    """Probability that the chunk is a recording of a person; 1 - `ai_generated`."""
    points: OperatingPoints = OperatingPoints()

    @property
    def verdict(self) -> Finding:
        """What was found in the chunk."""
        return self.points.finding(self.ai_generated)

    @property
    def is_ai_generated(self) -> bool:
        """Whether the chunk counts as AI-generated."""
        return self.verdict is Finding.AI_GENERATED

    @property
    def confidence(self) -> float:
        """Probability that the chunk is AI-generated if it counts as such, else that it is real; 0..1."""
        return self.ai_generated if self.is_ai_generated else self.real


@dataclass(frozen=True, slots=True)
class DeepfakeChunk:
    """The score of one span of a recording."""

    index: int
    start_s: float
    end_s: float
    score: DeepfakeScore


@dataclass(frozen=True, slots=True)
class DeepfakeVerdict:
    """The verdict on a recording, with the scores of its chunks."""

    verdict: Finding
    """AI-generated if more than half of the chunks are; no sign found if more than half of the chunks show
    none and no chunk is AI-generated; otherwise inconclusive."""
    confidence: float
    """Mean probability, over all chunks, that they are AI-generated if that is the verdict, else that they
    are real; 0..1."""
    ai_generated_chunks: int
    """Number of chunks that count as AI-generated."""
    chunk_confidence: float
    """Mean over the chunks of the confidence in each, 0..1."""
    chunks: tuple[DeepfakeChunk, ...]
    """At least one, sorted by start."""
    options: ChunkOptions
    """How the recording was cut into chunks."""
    advice: str | None = None
    """What the caller should know about the detector, in sentences."""
    speech_s: float | None = None
    """Seconds of speech in the recording; 0.0: none; None: nobody looked for it, or it cannot be told."""

    @property
    def is_deepfake(self) -> bool:
        """Whether more than half of the chunks are AI-generated."""
        return self.verdict is Finding.AI_GENERATED

    @property
    def points(self) -> OperatingPoints:
        """The operating points of the detector."""
        return self.chunks[0].score.points

    @classmethod
    def from_chunks(
        cls, chunks: Sequence[DeepfakeChunk], options: ChunkOptions, advice: str | None = None
    ) -> "DeepfakeVerdict":
        """Derive the verdict from the scores of all chunks of a recording, at least one."""
        scores = [chunk.score for chunk in chunks]
        verdict = _overall([score.verdict for score in scores])
        mean = sum(score.ai_generated for score in scores) / len(scores)
        return cls(
            verdict=verdict,
            confidence=mean if verdict is Finding.AI_GENERATED else 1 - mean,
            ai_generated_chunks=sum(score.is_ai_generated for score in scores),
            chunk_confidence=sum(score.confidence for score in scores) / len(scores),
            chunks=tuple(chunks),
            options=options,
            advice=advice,
        )

    def heard(self, speech_s: float | None) -> "DeepfakeVerdict":
        """Add the seconds of speech."""
        return replace(self, speech_s=speech_s)


def _overall(findings: Sequence[Finding]) -> Finding:
    """Return the verdict on a recording, given those on its chunks."""
    half, generated = len(findings) / 2, findings.count(Finding.AI_GENERATED)
    if generated > half:
        return Finding.AI_GENERATED
    if not generated and findings.count(Finding.NO_SIGN_FOUND) > half:
        return Finding.NO_SIGN_FOUND
    return Finding.INCONCLUSIVE
