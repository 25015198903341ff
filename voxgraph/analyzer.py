"""The `Analyzer` protocol: one method for each question about a voice recording.

The ingress implements it with deployment handles, `voxgraph.handles` by calling the ingress, and the tests
with a fake. Waveforms are float32, shape (samples,), mono, 16 kHz. Every method raises a
`voxgraph.errors.VoxError` if it cannot answer.
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
    """The questions that can be asked about a recording, and about the graph itself."""

    async def detect_language(self, waveform: Waveform) -> LanguageResult:
        """Detect which language is spoken."""
        ...

    async def embed(self, waveform: Waveform, encoder: ModelKey | None = None) -> SpeakerResult:
        """Embed the voice; the language decides the encoder unless one is named."""
        ...

    async def embed_pair(self, first: Waveform, second: Waveform) -> tuple[SpeakerResult, SpeakerResult]:
        """Embed two voices with one encoder: that of the language detected with the higher confidence."""
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
        """Answer several questions about one recording concurrently.

        Raises:
            InvalidOptions: `tasks` is empty or contains a name that is not in `TASKS`.
        """
        ...

    async def health(self) -> GraphHealth:
        """Return which models answer, where they run and which checkpoints they have loaded."""
        ...

    async def info(self, model: ModelKey) -> ModelInfo:
        """Return what a model has loaded and where it runs.

        Raises:
            ModelUnavailable: The model is not in the graph, or its checkpoint could not be loaded.
        """
        ...
