"""The running graph for Python callers, typed: ``Voxgraph.connect().detect_language(waveform)``.

Works wherever the code runs in the same Ray cluster: a driver, a task, a ``ray job``. The methods are
those of `deployments.ingress.Ingress`, one class for plain code and one for ``async``. A call that is
left early, by its time or by Ctrl-C, is cancelled in the replicas; one that lost its replica is made again.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

from ray import serve
from ray.serve.handle import DeploymentHandle

from config.settings import ChunkOptions, IngressTunables, ModelKey, SpeakerCount
from deployments.api.analyzer import TASKS, AccentModel, Analysis, GraphHealth, SpeakerResult, Task
from deployments.calls import Deadline, call, stream
from pipelines.errors import ModelUnavailable
from pipelines.results import (
    AccentResult,
    DeepfakeChunk,
    DiarizationProgress,
    DiarizationResult,
    LanguageResult,
    ModelInfo,
    Waveform,
)

T = TypeVar("T")
ToldProgress = Callable[[DiarizationProgress], None]

APPLICATION = "voxgraph"
"""The application's name in the configuration files."""
WAIT_S = IngressTunables().deadline_s
DIARIZATION_WAIT_S = IngressTunables().diarization_deadline_s


class AsyncVoxgraph:
    """The questions that the graph answers, to await.

    Waveforms are float32, (samples,), mono, 16 kHz: what `pipelines.audio.decode` returns. Every method
    takes the seconds to wait and raises `DeadlineExceeded` after them, `Overloaded` when queues are full,
    `ModelUnavailable` when a model is not there, and `InvalidAudio` for what is no waveform.

    Args:
        handle: Of the ingress.
    """

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle

    @classmethod
    def connect(cls, application: str = APPLICATION) -> "AsyncVoxgraph":
        """The graph that runs in this Ray cluster; connects to the cluster where the process has not yet.

        Raises:
            ray.serve.exceptions.RayServeException: No such application runs.
        """
        return cls(serve.get_app_handle(application))

    async def detect_language(self, waveform: Waveform, *, timeout_s: float = WAIT_S) -> LanguageResult:
        """Which language is spoken."""
        result: LanguageResult = await self._ask("detect_language", timeout_s, waveform)
        return result

    async def embed(
        self, waveform: Waveform, encoder: ModelKey | None = None, *, timeout_s: float = WAIT_S
    ) -> SpeakerResult:
        """The voice as a vector; the language decides the encoder unless one is named."""
        result: SpeakerResult = await self._ask("embed", timeout_s, waveform, encoder)
        return result

    async def embed_pair(
        self, first: Waveform, second: Waveform, *, timeout_s: float = WAIT_S
    ) -> tuple[SpeakerResult, SpeakerResult]:
        """Two voices by one encoder, that of the language which is told more surely."""
        result: tuple[SpeakerResult, SpeakerResult] = await self._ask("embed_pair", timeout_s, first, second)
        return result

    async def identify_accent(
        self, waveform: Waveform, model: AccentModel = "xlsr", *, timeout_s: float = WAIT_S
    ) -> AccentResult:
        """Which accent of English is heard."""
        result: AccentResult = await self._ask("identify_accent", timeout_s, waveform, model)
        return result

    async def diarize(
        self,
        waveform: Waveform,
        speakers: SpeakerCount = SpeakerCount(),
        *,
        timeout_s: float = DIARIZATION_WAIT_S,
        progress: ToldProgress | None = None,
    ) -> DiarizationResult:
        """Who speaks when; `progress` is told whenever a part of a long recording is done."""
        if progress is None:
            result: DiarizationResult = await self._ask("diarize", timeout_s, waveform, speakers)
            return result
        method = self._handle.options(stream=True).diarize_with_progress
        async with aclosing(
            stream(lambda: method.remote(waveform, speakers), Deadline.after(timeout_s))
        ) as answers:
            async for answer in answers:
                if isinstance(answer, DiarizationResult):
                    return answer
                progress(answer)
        raise ModelUnavailable("The graph ended its answer early.")

    async def detect_deepfake(
        self, waveform: Waveform, options: ChunkOptions = ChunkOptions(), *, timeout_s: float = WAIT_S
    ) -> tuple[DeepfakeChunk, ...]:
        """The scores of overlapping chunks, in order."""
        result: tuple[DeepfakeChunk, ...] = await self._ask("detect_deepfake", timeout_s, waveform, options)
        return result

    async def analyze(
        self,
        waveform: Waveform,
        tasks: tuple[Task, ...] = TASKS,
        speakers: SpeakerCount = SpeakerCount(),
        options: ChunkOptions = ChunkOptions(),
        *,
        timeout_s: float = DIARIZATION_WAIT_S,
    ) -> Analysis:
        """Several questions side by side on one recording.

        Raises:
            InvalidOptions: `tasks` is empty or names something else than `TASKS`.
        """
        result: Analysis = await self._ask("analyze", timeout_s, waveform, tasks, speakers, options)
        return result

    async def health(self, *, timeout_s: float = WAIT_S) -> GraphHealth:
        """Which models answer, where they run and which checkpoints they have."""
        result: GraphHealth = await self._ask("health", timeout_s)
        return result

    async def info(self, model: ModelKey, *, timeout_s: float = WAIT_S) -> ModelInfo:
        """What a model has loaded."""
        result: ModelInfo = await self._ask("info", timeout_s, model)
        return result

    async def _ask(self, question: str, timeout_s: float, *arguments: object) -> Any:
        method = getattr(self._handle, question)
        return await call(lambda: method.remote(*arguments), Deadline.after(timeout_s))


class Voxgraph:
    """The same for plain code: each method returns the answer. In a coroutine use `AsyncVoxgraph`.

    Args:
        handle: Of the ingress.
    """

    def __init__(self, handle: DeploymentHandle) -> None:
        self._graph = AsyncVoxgraph(handle)

    @classmethod
    def connect(cls, application: str = APPLICATION) -> "Voxgraph":
        """As `AsyncVoxgraph.connect`."""
        return cls(serve.get_app_handle(application))

    def detect_language(self, waveform: Waveform, *, timeout_s: float = WAIT_S) -> LanguageResult:
        """Which language is spoken."""
        return _answer(self._graph.detect_language(waveform, timeout_s=timeout_s))

    def embed(
        self, waveform: Waveform, encoder: ModelKey | None = None, *, timeout_s: float = WAIT_S
    ) -> SpeakerResult:
        """The voice as a vector; the language decides the encoder unless one is named."""
        return _answer(self._graph.embed(waveform, encoder, timeout_s=timeout_s))

    def embed_pair(
        self, first: Waveform, second: Waveform, *, timeout_s: float = WAIT_S
    ) -> tuple[SpeakerResult, SpeakerResult]:
        """Two voices by one encoder, that of the language which is told more surely."""
        return _answer(self._graph.embed_pair(first, second, timeout_s=timeout_s))

    def identify_accent(
        self, waveform: Waveform, model: AccentModel = "xlsr", *, timeout_s: float = WAIT_S
    ) -> AccentResult:
        """Which accent of English is heard."""
        return _answer(self._graph.identify_accent(waveform, model, timeout_s=timeout_s))

    def diarize(
        self,
        waveform: Waveform,
        speakers: SpeakerCount = SpeakerCount(),
        *,
        timeout_s: float = DIARIZATION_WAIT_S,
        progress: ToldProgress | None = None,
    ) -> DiarizationResult:
        """Who speaks when; `progress` is told whenever a part of a long recording is done."""
        return _answer(self._graph.diarize(waveform, speakers, timeout_s=timeout_s, progress=progress))

    def detect_deepfake(
        self, waveform: Waveform, options: ChunkOptions = ChunkOptions(), *, timeout_s: float = WAIT_S
    ) -> tuple[DeepfakeChunk, ...]:
        """The scores of overlapping chunks, in order."""
        return _answer(self._graph.detect_deepfake(waveform, options, timeout_s=timeout_s))

    def analyze(
        self,
        waveform: Waveform,
        tasks: tuple[Task, ...] = TASKS,
        speakers: SpeakerCount = SpeakerCount(),
        options: ChunkOptions = ChunkOptions(),
        *,
        timeout_s: float = DIARIZATION_WAIT_S,
    ) -> Analysis:
        """Several questions side by side on one recording.

        Raises:
            InvalidOptions: `tasks` is empty or names something else than `TASKS`.
        """
        return _answer(self._graph.analyze(waveform, tasks, speakers, options, timeout_s=timeout_s))

    def health(self, *, timeout_s: float = WAIT_S) -> GraphHealth:
        """Which models answer, where they run and which checkpoints they have."""
        return _answer(self._graph.health(timeout_s=timeout_s))

    def info(self, model: ModelKey, *, timeout_s: float = WAIT_S) -> ModelInfo:
        """What a model has loaded."""
        return _answer(self._graph.info(model, timeout_s=timeout_s))


def _answer(question: Coroutine[Any, Any, T]) -> T:
    """Run a question to its end in a loop of its own, which Ctrl-C cancels."""
    return asyncio.run(question)
