"""The answers of the pipelines: small, frozen, without torch, so that the ingress can import them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SAMPLE_RATE_HZ = 16_000
"""The rate of every `Waveform` and every model."""

Waveform = npt.NDArray[np.float32]
"""Mono samples at 16 kHz, float32, shape (samples,), full scale +-1. May be read-only."""


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


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """A voice as a point in one encoder's space."""

    vector: npt.NDArray[np.float32]
    """Shape (192,), float32, not normalised."""
    model: str
    """The encoder: vectors of two encoders cannot be compared."""
    revision: str
    """The encoder's checkpoint: a commit of the hub, or ``demo-`` or ``local-`` and a digest."""


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


@dataclass(frozen=True, slots=True)
class DeepfakeChunk:
    """The score of one span of a recording."""

    index: int
    start_s: float
    end_s: float
    score: DeepfakeScore


@dataclass(frozen=True, slots=True, eq=False)
class WindowFindings:
    """What the diarization networks say of windows that follow each other, before any clustering.

    A pair is a window and one of the (at most three) speakers in it who talks at all; pairs are by window,
    then speaker.
    """

    speech: npt.NDArray[np.uint8]
    """Who talks: bits packed along the frames, (windows, ceil(frames / 8), speakers)."""
    frames: int
    """Frames of a window."""
    windows: npt.NDArray[np.intp]
    """The window of each pair, counted from 0."""
    speakers: npt.NDArray[np.intp]
    """The speaker of each pair within its window."""
    frames_alone: npt.NDArray[np.int32]
    """Frames in which the speaker of each pair talks and nobody else does."""
    embeddings: npt.NDArray[np.float32]
    """The voice of each pair, (pairs, dimension), float32, not normalised; NaN where there is none."""


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
    """The model's key in `config.settings.ModelKey`."""
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
