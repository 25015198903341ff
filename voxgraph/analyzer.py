"""The `Analyzer` protocol: one method for each question about a voice recording.

The ingress implements it with deployment handles, `voxgraph.handles` by calling the ingress, and the tests
with a fake. Waveforms are float32, shape (samples,), mono, 16 kHz. Every method raises a
`voxgraph.errors.VoxError` if it cannot answer.

A question about the language, voice, accent or deepfake of a recording without speech raises `NoSpeech`,
unless `allow_no_speech` is given. `speech_s` of each result says how much speech was found.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from voxgraph.options import TASKS, AccentModel, ChunkOptions, ModelKey, SpeakerCount, Task
from voxgraph.results import (
    AccentResult,
    Analysis,
    AnalysisEvent,
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

    async def detect_language(
        self, waveform: Waveform, languages: tuple[str, ...] = (), allow_no_speech: bool = False
    ) -> LanguageResult:
        """Detect which language is spoken; `languages` are the codes of the allowed ones, empty: all.

        Raises:
            InvalidOptions: The model does not know one of `languages`.
        """
        ...

    async def embed(
        self,
        waveform: Waveform,
        encoder: ModelKey | None = None,
        languages: tuple[str, ...] = (),
        allow_no_speech: bool = False,
    ) -> SpeakerResult:
        """Embed the voice; the language, among `languages`, decides the encoder unless one is named.

        Raises:
            InvalidOptions: `encoder` is no speaker encoder, or the model does not know one of `languages`.
        """
        ...

    async def embed_pair(
        self,
        first: Waveform,
        second: Waveform,
        encoder: ModelKey | None = None,
        languages: tuple[str, ...] = (),
        allow_no_speech: bool = False,
    ) -> tuple[SpeakerResult, SpeakerResult]:
        """Embed two voices with one encoder: the named one, or that of the language detected most surely.

        Raises:
            InvalidOptions: As `embed` does.
        """
        ...

    async def identify_accent(
        self, waveform: Waveform, model: AccentModel = "xlsr", allow_no_speech: bool = False
    ) -> AccentResult:
        """Identify the accent of spoken English."""
        ...

    async def diarize(self, waveform: Waveform, speakers: SpeakerCount = SpeakerCount()) -> DiarizationResult:
        """Find who speaks when."""
        ...

    async def diarize_channels(self, channels: Sequence[Waveform]) -> DiarizationResult:
        """Find when each channel talks: every channel is one speaker, ``CHANNEL_0``, ``CHANNEL_1``, ...

        What is only a quiet copy of another channel does not count.

        Args:
            channels: Waveforms of one length.

        Raises:
            InvalidOptions: There are no channels, or they differ in length.
        """
        ...

    async def detect_deepfake(
        self, waveform: Waveform, options: ChunkOptions = ChunkOptions(), allow_no_speech: bool = False
    ) -> DeepfakeVerdict:
        """Detect which overlapping chunks are AI-generated."""
        ...

    async def analyze(
        self,
        waveform: Waveform,
        tasks: tuple[Task, ...] = TASKS,
        speakers: SpeakerCount = SpeakerCount(),
        options: ChunkOptions = ChunkOptions(),
        encoder: ModelKey | None = None,
        languages: tuple[str, ...] = (),
        allow_no_speech: bool = False,
    ) -> Analysis:
        """Answer several questions about one recording concurrently.

        Raises:
            InvalidOptions: `tasks` is empty or contains a name that is not in `TASKS`, or as `embed` does.
        """
        ...

    def analyze_events(
        self,
        waveform: Waveform,
        tasks: tuple[Task, ...] = TASKS,
        speakers: SpeakerCount = SpeakerCount(),
        options: ChunkOptions = ChunkOptions(),
        encoder: ModelKey | None = None,
        languages: tuple[str, ...] = (),
        allow_no_speech: bool = False,
    ) -> AsyncGenerator[AnalysisEvent]:
        """Answer several questions about one recording concurrently, each as soon as its answer is there.

        Yields `Received`, then for each task any number of `Progress` and one `TaskAnswer` or `TaskFailure`:
        one that fails does not affect the others. Closing the generator cancels what still runs.

        Raises:
            VoxError: Before the first event, if the recording or the options cannot be taken, as `analyze`.
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
