"""What the routes ask: the `Analyzer` protocol.

The ingress implements it with deployment handles, the tests with a fake. Every method takes one decoded
recording, raises a `pipelines.errors.VoxError`, and returns a frozen result.
"""

from dataclasses import dataclass, field
from typing import Literal, Protocol

from config.settings import ChunkOptions, SpeakerCount
from pipelines.results import (
    AccentResult,
    DeepfakeChunk,
    DiarizationResult,
    Embedding,
    LanguageResult,
    ModelInfo,
    Waveform,
)

AccentModel = Literal["xlsr", "ecapa"]
Task = Literal["language", "speaker", "accent", "diarization", "deepfake"]
TASKS: tuple[Task, ...] = ("language", "speaker", "accent", "diarization", "deepfake")


@dataclass(frozen=True, slots=True)
class SpeakerResult:
    """An embedding and the language that chose its encoder."""

    embedding: Embedding
    language: LanguageResult


@dataclass(frozen=True, slots=True)
class Analysis:
    """Answers of one recording; a task that was not asked for is None."""

    language: LanguageResult | None = None
    speaker: SpeakerResult | None = None
    accent: AccentResult | None = None
    diarization: DiarizationResult | None = None
    deepfake: tuple[DeepfakeChunk, ...] | None = None


@dataclass(frozen=True, slots=True)
class GraphHealth:
    """What answers now."""

    models: dict[str, ModelInfo] = field(default_factory=dict)
    """Loaded models by key."""
    failed: dict[str, str] = field(default_factory=dict)
    """Why a model that should answer does not, by key."""


class Analyzer(Protocol):
    """The questions people ask of a voice recording. Waveforms: float32, (samples,), 16 kHz mono."""

    async def detect_language(self, waveform: Waveform) -> LanguageResult:
        """Which language is spoken."""
        ...

    async def embed(self, waveform: Waveform) -> SpeakerResult:
        """The voice as a vector; the language decides the encoder."""
        ...

    async def identify_accent(self, waveform: Waveform, model: AccentModel) -> AccentResult:
        """Which accent of English is heard."""
        ...

    async def diarize(self, waveform: Waveform, speakers: SpeakerCount) -> DiarizationResult:
        """Who speaks when."""
        ...

    async def detect_deepfake(self, waveform: Waveform, options: ChunkOptions) -> tuple[DeepfakeChunk, ...]:
        """The scores of overlapping chunks, in order."""
        ...

    async def analyze(
        self,
        waveform: Waveform,
        tasks: tuple[Task, ...] = TASKS,
        speakers: SpeakerCount = SpeakerCount(),
        options: ChunkOptions = ChunkOptions(),
    ) -> Analysis:
        """Several questions side by side on one recording."""
        ...

    async def health(self) -> GraphHealth:
        """Which models answer, where they run and which checkpoints they have."""
        ...
