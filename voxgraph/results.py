"""The answers of the graph: frozen dataclasses that handles, HTTP and pipelines share.

They are pickled between processes, so this module needs numpy and nothing of the graph. What an answer means
(more than half of the chunks make a deepfake, an embedding is scaled to length 1) is decided here, so that
HTTP and handles give the same answer.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from voxgraph.calibration import SpeakerCalibration
from voxgraph.options import ChunkOptions

SAMPLE_RATE_HZ = 16_000
"""Sample rate of every `Waveform` and every model."""

Waveform = npt.NDArray[np.float32]
"""Mono samples at 16 kHz, float32, shape (samples,), full scale +-1. May be read-only."""

UNKNOWN_LANGUAGE = "unknown"
"""Code and name of the language if a model cannot tell it."""
TOP_LANGUAGES = 5
"""Number of languages in an answer that does not list all of them."""
US_ACCENT = "us"
"""Label of American English in the accent checkpoints."""


@dataclass(frozen=True, slots=True)
class LanguageResult:
    """The language that is spoken, with the posterior of every language."""

    language: str
    """ISO 639 code; the retired codes of VoxLingua107 (iw, jw) are replaced by he, jv. `UNKNOWN_LANGUAGE` if
    the model cannot tell; only Whisper answers that."""
    name: str
    """English name of the language."""
    confidence: float
    """Posterior probability of `language`, 0..1. If it is unknown: the probability that the most probable
    language is not spoken."""
    probabilities: dict[str, float]
    """Posterior probability of every language by code; they sum to 1."""
    calibrated: bool = False
    """Whether the probabilities were calibrated on labelled speech."""
    warning: str | None = None
    """Reason, in a sentence, why the answer is less certain than its probability says; None without one."""
    is_heard: bool = True
    """Whether a language that the model knows was heard at all; if not, the language is unknown even if only
    a few are allowed."""
    min_confidence: float = 0.0
    """Posterior probability below which the language is unknown."""

    @property
    def is_known(self) -> bool:
        """Whether the model can tell the language."""
        return self.language != UNKNOWN_LANGUAGE

    def decided(self, names: Mapping[str, str]) -> "LanguageResult":
        """Take the most probable language, or unknown, by `is_heard` and `min_confidence`.

        Args:
            names: English name of each language of `probabilities`.
        """
        best = max(self.probabilities, key=self.probabilities.__getitem__)
        confidence = self.probabilities[best]
        if self.is_heard and confidence >= self.min_confidence:
            return replace(self, language=best, name=names[best], confidence=confidence)
        unknown = UNKNOWN_LANGUAGE
        return replace(self, language=unknown, name=unknown, confidence=1.0 - confidence)

    def among(self, names: Mapping[str, str]) -> "LanguageResult":
        """Answer as if no other languages were spoken than the given ones.

        Args:
            names: English name by code, at least one; each is a key of `probabilities`.

        Returns:
            The result with the probabilities of these languages alone, which sum to 1. If all are too small
            for a float, they are equal and the language is unknown.
        """
        kept = {code: self.probabilities[code] for code in names}
        total = math.fsum(kept.values())
        if total == 0.0:
            equal = dict.fromkeys(kept, 1.0 / len(kept))
            return replace(self, probabilities=equal, is_heard=False).decided(names)
        shares = {code: probability / total for code, probability in kept.items()}
        return replace(self, probabilities=shares).decided(names)

    def top(self, count: int = TOP_LANGUAGES) -> dict[str, float]:
        """Return the posteriors of the `count` most probable languages, in descending order."""
        return dict(sorted(self.probabilities.items(), key=lambda pair: -pair[1])[:count])


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """A voice as a vector in the embedding space of one encoder."""

    vector: npt.NDArray[np.float32]
    """Shape (192,), float32, not normalised."""
    model: str
    """Encoder; vectors of different encoders cannot be compared."""
    revision: str
    """Checkpoint of the encoder: a commit of the hub, or the source (``starter`` or ``local``) and
    a digest."""

    def normalized(self) -> "Embedding":
        """Return the embedding with a vector of length 1; a vector of zeros stays as it is."""
        length = max(float(np.linalg.norm(self.vector)), float(np.finfo(np.float32).tiny))
        return replace(self, vector=self.vector / length)


@dataclass(frozen=True, slots=True)
class SpeakerResult:
    """An embedding, and the language that determined its encoder."""

    embedding: Embedding
    language: LanguageResult | None
    """None if the caller named the encoder: then no language was detected."""


@dataclass(frozen=True, slots=True)
class AccentResult:
    """The accent of an English speaker."""

    accent: str
    """The most probable label of the checkpoint, e.g. ``us``, ``england``."""
    confidence: float
    """Probability of `accent`, 0..1."""
    us_confidence: float
    """Probability of ``us`` if that is the accent, else 0.0."""
    probabilities: dict[str, float]
    """Probability of every accent; they sum to 1."""
    calibrated: bool = False
    """Whether the probabilities were fitted on labelled real speech; otherwise they only rank accents."""

    @classmethod
    def from_probabilities(
        cls, labels: Sequence[str], probabilities: Sequence[float], calibrated: bool = False
    ) -> "AccentResult":
        """Take the most probable of a checkpoint's labels; there is one probability per label."""
        by_label = dict(zip(labels, probabilities, strict=True))
        accent = max(by_label, key=by_label.__getitem__)
        confidence = by_label[accent]
        us_confidence = confidence if accent == US_ACCENT else 0.0
        return cls(accent, confidence, us_confidence, by_label, calibrated)


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


def _overall(findings: Sequence[Finding]) -> Finding:
    """Return the verdict on a recording, given those on its chunks."""
    half, generated = len(findings) / 2, findings.count(Finding.AI_GENERATED)
    if generated > half:
        return Finding.AI_GENERATED
    if not generated and findings.count(Finding.NO_SIGN_FOUND) > half:
        return Finding.NO_SIGN_FOUND
    return Finding.INCONCLUSIVE


@dataclass(frozen=True, slots=True)
class Turn:
    """One speaker talks from `start_s` to `end_s` (seconds from the start of the recording)."""

    start_s: float
    end_s: float
    speaker: str
    """``SPEAKER_00``, ``SPEAKER_01``, ... in order of first appearance."""


@dataclass(frozen=True, slots=True)
class DiarizationResult:
    """Who spoke when."""

    turns: tuple[Turn, ...]
    """Sorted by start; turns of different speakers may overlap."""
    exclusive_turns: tuple[Turn, ...]
    """The same without overlap, for aligning transcripts: at most one speaker at any time."""
    speakers: tuple[str, ...]
    """The speakers found, sorted."""

    def without_short_turns(self, min_duration_s: float) -> "DiarizationResult":
        """Remove turns shorter than `min_duration_s` seconds, and speakers who then have no turn."""
        turns, exclusive = (
            tuple(turn for turn in kept if turn.end_s - turn.start_s >= min_duration_s)
            for kept in (self.turns, self.exclusive_turns)
        )
        return DiarizationResult(turns, exclusive, tuple(sorted({turn.speaker for turn in turns})))


@dataclass(frozen=True, slots=True)
class DiarizationProgress:
    """Progress of the diarization of a long recording."""

    done: int
    """Number of parts that are done."""
    parts: int
    """Number of parts, each of `pipelines.chunking.PART_WINDOWS` windows of 10 s with a hop of 1 s. The
    clustering at the end is not counted."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The model that a replica has loaded, and where it runs."""

    key: str
    """The model's key, one of `voxgraph.options.ModelKey`."""
    hub_id: str
    revision: str
    source: str
    """``hub``, ``starter`` or ``local``."""
    device: str
    """``cpu`` or ``cuda:0``."""
    parameters: int
    labels: tuple[str, ...] = ()
    """Class labels in the order of the checkpoint; empty if the model has no classes."""
    engine: str = "torch"
    """``torch`` or ``openvino``."""
    precision: str = "float32"
    """Type of matrix products and convolutions: ``float32``, ``bfloat16`` or ``float16``."""
    engine_reason: str = ""
    """One sentence that explains the choice of engine and precision."""
    batch_items: int = 1
    """Maximum number of clips in a forward pass, measured when the replica started."""
    same_speaker: SpeakerCalibration | None = None
    """Calibration of a speaker encoder; None for other models and for encoders that have none."""


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """The model of a replica and the memory of its process."""

    model: ModelInfo
    memory_mb: float
    """Resident memory of the process in 10^6 bytes."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """The answers about one recording; None for a task that was not requested."""

    language: LanguageResult | None = None
    speaker: SpeakerResult | None = None
    accent: AccentResult | None = None
    diarization: DiarizationResult | None = None
    deepfake: DeepfakeVerdict | None = None


@dataclass(slots=True)
class GraphHealth:
    """The models that answer now, and those that should but do not."""

    models: dict[str, ModelInfo] = field(default_factory=dict)
    """Loaded models by key."""
    failed: dict[str, str] = field(default_factory=dict)
    """Reason why a model does not answer, by key."""
    memory_mb: float = 0.0
    """Resident memory of one replica of each model and of the answering ingress replica, in 10^6 bytes."""
