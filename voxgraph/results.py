"""The answers of the graph: frozen dataclasses that handles, HTTP and pipelines share.

They are pickled between processes, so this module needs numpy and nothing of the graph. What an answer means
(more than half of the chunks make a deepfake, an embedding is scaled to length 1) is decided here, so that
every way to ask gives the same answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from voxgraph.options import ChunkOptions

SAMPLE_RATE_HZ = 16_000
"""The rate of every `Waveform` and every model."""

Waveform = npt.NDArray[np.float32]
"""Mono samples at 16 kHz, float32, shape (samples,), full scale +-1. May be read-only."""


TOP_LANGUAGES = 5
"""Number of languages in an answer that does not list all of them."""
AI_GENERATED_PROBABILITY = 0.5
"""Probability above which a chunk is taken to be AI-generated."""


@dataclass(frozen=True, slots=True)
class LanguageResult:
    """Which language is spoken."""

    language: str
    """ISO 639 code; the retired codes of VoxLingua107 (iw, jw) are answered as he, jv."""
    name: str
    """English name of the language."""
    confidence: float
    """Posterior probability of `language`, 0..1."""
    probabilities: dict[str, float]
    """Posterior of every language by code; they sum to 1."""

    def top(self, count: int = TOP_LANGUAGES) -> dict[str, float]:
        """Return the posteriors of the most probable languages, the most probable first."""
        ranked = sorted(self.probabilities.items(), key=lambda pair: -pair[1])
        return dict(ranked[:count])


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """A voice as a point in one encoder's space."""

    vector: npt.NDArray[np.float32]
    """Shape (192,), float32, not normalised."""
    model: str
    """The encoder: vectors of two encoders cannot be compared."""
    revision: str
    """The encoder's checkpoint: a commit of the hub, or ``demo-`` or ``local-`` and a digest."""

    def normalized(self) -> "Embedding":
        """Return the embedding with a vector of length 1; a vector of zeros stays as it is."""
        length = max(float(np.linalg.norm(self.vector)), float(np.finfo(np.float32).tiny))
        return replace(self, vector=self.vector / length)


@dataclass(frozen=True, slots=True)
class SpeakerResult:
    """An embedding and the language that chose its encoder."""

    embedding: Embedding
    language: LanguageResult


@dataclass(frozen=True, slots=True)
class AccentResult:
    """How an English speaker sounds."""

    accent: str
    """The most probable label of the checkpoint, e.g. ``us``, ``england``."""
    confidence: float
    """Probability of `accent`, 0..1."""
    us_confidence: float
    """Probability of ``us`` where it is the accent found, else 0.0."""
    probabilities: dict[str, float]
    """Probability of every accent; they sum to 1."""


@dataclass(frozen=True, slots=True)
class DeepfakeScore:
    """Whether one chunk is generated speech."""

    ai_generated: float
    """Probability that the chunk is generated, 0..1."""
    real: float
    """Probability that the chunk is a recording of a person; 1 - `ai_generated`."""

    @property
    def is_ai_generated(self) -> bool:
        """Whether the chunk is taken to be generated."""
        return self.ai_generated > AI_GENERATED_PROBABILITY

    @property
    def confidence(self) -> float:
        """Probability of what the chunk is taken to be, 0..1."""
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
    """Whether a recording is AI-generated, and which of its chunks are."""

    is_deepfake: bool
    """Whether more than half of the chunks are generated."""
    confidence: float
    """Mean probability, over all chunks, of the verdict on the recording, 0..1."""
    ai_generated_chunks: int
    """Number of chunks that are taken to be generated."""
    chunk_confidence: float
    """Mean of the confidences of the chunks, each for its own verdict, 0..1."""
    chunks: tuple[DeepfakeChunk, ...]
    """At least one, by start."""
    options: ChunkOptions
    """How the recording was cut."""

    @classmethod
    def from_chunks(cls, chunks: Sequence[DeepfakeChunk], options: ChunkOptions) -> "DeepfakeVerdict":
        """Decide from the scores of all chunks of a recording, at least one."""
        scores = [chunk.score for chunk in chunks]
        generated = sum(score.is_ai_generated for score in scores)
        is_deepfake = generated > len(scores) / 2
        mean = sum(score.ai_generated for score in scores) / len(scores)
        return cls(
            is_deepfake=is_deepfake,
            confidence=mean if is_deepfake else 1 - mean,
            ai_generated_chunks=generated,
            chunk_confidence=sum(score.confidence for score in scores) / len(scores),
            chunks=tuple(chunks),
            options=options,
        )


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
    """By start; turns of two speakers may overlap."""
    exclusive_turns: tuple[Turn, ...]
    """The same without overlap: at each moment at most one speaker, for aligning transcripts."""
    speakers: tuple[str, ...]
    """The speakers found, sorted."""

    def without_short_turns(self, min_duration_s: float) -> "DiarizationResult":
        """Return the result without turns shorter than `min_duration_s` seconds, and whom that leaves out."""
        turns, exclusive = (
            tuple(turn for turn in kept if turn.end_s - turn.start_s >= min_duration_s)
            for kept in (self.turns, self.exclusive_turns)
        )
        return DiarizationResult(turns, exclusive, tuple(sorted({turn.speaker for turn in turns})))


@dataclass(frozen=True, slots=True)
class DiarizationProgress:
    """How far the diarization of a long recording is."""

    done: int
    parts: int
    """Of `pipelines.chunking.PART_WINDOWS` windows of 10 s, a second apart; clustering, at the end, is not
    counted."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a replica has loaded and where it runs."""

    key: str
    """The model's key, one of `voxgraph.options.ModelKey`."""
    hub_id: str
    revision: str
    source: str
    """``hub``, ``demo`` or ``local``."""
    device: str
    """``cpu`` or ``cuda:0``."""
    parameters: int
    """Number of weights."""
    labels: tuple[str, ...] = ()
    """Class labels in the checkpoint's own order, where it has classes."""
    engine: str = "torch"
    """``torch`` or ``openvino``."""
    precision: str = "float32"
    """What its products and convolutions are computed in: ``float32``, ``bfloat16`` or ``float16``."""
    engine_reason: str = ""
    """Why it is this engine in this precision, in a sentence."""
    batch_items: int = 1
    """Clips of one forward pass at most, as the replica measured when it started."""


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """What a replica says of itself now."""

    model: ModelInfo
    memory_mb: float
    """Resident memory of its process, in 10^6 bytes."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """The answers about one recording; the answer to a task that was not asked for is None."""

    language: LanguageResult | None = None
    speaker: SpeakerResult | None = None
    accent: AccentResult | None = None
    diarization: DiarizationResult | None = None
    deepfake: DeepfakeVerdict | None = None


@dataclass(slots=True)
class GraphHealth:
    """Which models answer now."""

    models: dict[str, ModelInfo] = field(default_factory=dict)
    """Loaded models by key."""
    failed: dict[str, str] = field(default_factory=dict)
    """Why a model that should answer does not, by key."""
    memory_mb: float = 0.0
    """Resident memory of one replica of each model and of the ingress replica that answers, in 10^6 bytes."""
