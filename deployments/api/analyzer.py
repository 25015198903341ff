"""What the routes ask: the `Analyzer` protocol.

The ingress implements it with deployment handles, the tests with a fake. Every method takes one decoded
recording, raises a `pipelines.errors.VoxError`, and returns a frozen result.
"""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from config.settings import ChunkOptions, ModelKey, SpeakerCount
from deployments.admission import QueueStatus
from deployments.cache import CacheInfo
from deployments.statistics import CleanupStatus, Counts
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


@dataclass(slots=True)
class GraphHealth:
    """What answers now."""

    models: dict[str, ModelInfo] = field(default_factory=dict)
    """Loaded models by key."""
    failed: dict[str, str] = field(default_factory=dict)
    """Why a model that should answer does not, by key."""
    memory_mb: float = 0.0
    """Resident memory of one replica of each model and of the ingress replica that was asked."""


class SharedState(Protocol):
    """What all replicas of the ingress share; figures are the whole graph's."""

    def admitted(self, request_id: str) -> AbstractAsyncContextManager[None]:
        """A place among the requests that run at a time, and the deadline of who has one."""
        ...

    def observe(self, path: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        ...

    async def counts(self) -> Counts:
        """Requests and inferences since the start."""
        ...

    async def queue(self) -> QueueStatus:
        """Who has a place and who waits for one."""
        ...

    async def cache_info(self) -> CacheInfo:
        """What the cache did."""
        ...

    async def clear_cache(self) -> CacheInfo:
        """Forget every kept answer; says what there was."""
        ...

    async def cleanup_status(self) -> CleanupStatus:
        """What the janitor looks after."""
        ...

    async def clean(self) -> tuple[int, int]:
        """Delete what is too old in the uploads folder: files, bytes."""
        ...


class Analyzer(Protocol):
    """The questions people ask of a voice recording. Waveforms: float32, (samples,), 16 kHz mono."""

    @property
    def shared(self) -> SharedState:
        """Cache, admission and statistics."""
        ...

    @property
    def max_requests(self) -> int:
        """Recordings that are worked on at a time."""
        ...

    @property
    def diarization_model(self) -> ModelKey:
        """Which pipeline answers who spoke when."""
        ...

    async def detect_language(self, waveform: Waveform) -> LanguageResult:
        """Which language is spoken."""
        ...

    async def embed(self, waveform: Waveform, encoder: ModelKey | None = None) -> SpeakerResult:
        """The voice as a vector; the language decides the encoder unless one is named."""
        ...

    async def embed_pair(self, first: Waveform, second: Waveform) -> tuple[SpeakerResult, SpeakerResult]:
        """Two voices by one encoder."""
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

    async def info(self, model: ModelKey) -> ModelInfo:
        """What a model has loaded; raises `ModelUnavailable` where it has nothing."""
        ...
