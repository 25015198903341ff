"""The `Analyzer` protocol: a method for each question that people ask of a voice recording.

The ingress implements it with deployment handles, `voxgraph.handles` by calling the ingress, the tests with a
fake. Waveforms are float32, shape (samples,), mono, 16 kHz. Every method raises a `voxgraph.errors.VoxError`
where it cannot answer.
"""

from typing import Protocol

from voxgraph.options import TASKS, AccentModel, ChunkOptions, ModelKey, SpeakerCount, Task
from voxgraph.results import (
    AccentResult,
    Analysis,
    DeepfakeVerdict,
    DiarizationResult,
    GraphHealth,
    LanguageResult,
    ModelInfo,
    SpeakerResult,
    Waveform,
)


class Analyzer(Protocol):
    """The questions."""

    async def detect_language(self, waveform: Waveform) -> LanguageResult:
        """Detect which language is spoken."""
        ...

    async def embed(self, waveform: Waveform, encoder: ModelKey | None = None) -> SpeakerResult:
        """Embed the voice; the language decides the encoder unless one is named."""
        ...

    async def embed_pair(self, first: Waveform, second: Waveform) -> tuple[SpeakerResult, SpeakerResult]:
        """Embed two voices with one encoder, that of the language which is detected more surely."""
        ...

    async def identify_accent(self, waveform: Waveform, model: AccentModel = "xlsr") -> AccentResult:
        """Identify the accent of spoken English."""
        ...

    async def diarize(self, waveform: Waveform, speakers: SpeakerCount = SpeakerCount()) -> DiarizationResult:
        """Find who speaks when."""
        ...

    async def detect_deepfake(
        self, waveform: Waveform, options: ChunkOptions = ChunkOptions()
    ) -> DeepfakeVerdict:
        """Detect which overlapping chunks are AI-generated."""
        ...

    async def analyze(
        self,
        waveform: Waveform,
        tasks: tuple[Task, ...] = TASKS,
        speakers: SpeakerCount = SpeakerCount(),
        options: ChunkOptions = ChunkOptions(),
    ) -> Analysis:
        """Answer several questions about one recording side by side.

        Raises:
            InvalidOptions: `tasks` is empty or has a name that `TASKS` does not have.
        """
        ...

    async def health(self) -> GraphHealth:
        """Say which models answer, where they run and which checkpoints they have."""
        ...

    async def info(self, model: ModelKey) -> ModelInfo:
        """Say what a model has loaded.

        Raises:
            ModelUnavailable: It is not in the graph, or has no checkpoint.
        """
        ...
