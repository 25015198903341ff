"""The running graph for Python callers: ``Voxgraph.connect().detect_language(waveform)``.

Works wherever the code runs in the same Ray cluster: in a driver, a task or a Ray job. Needs ray. The
questions are those of `voxgraph.analyzer.Analyzer`. A call that ends early, by its timeout or by Ctrl-C, is
cancelled in the replicas; a call whose replica died is made once more.
"""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any, Concatenate, ParamSpec, TypeVar

from ray import serve
from ray.serve.handle import DeploymentHandle

from voxgraph.calls import Deadline, call, stream
from voxgraph.errors import ModelUnavailable
from voxgraph.options import (
    DEADLINE_S,
    DIARIZATION_DEADLINE_S,
    TASKS,
    AccentModel,
    ChunkOptions,
    ModelKey,
    SpeakerCount,
    Task,
)
from voxgraph.results import (
    AccentResult,
    Analysis,
    DeepfakeVerdict,
    DiarizationProgress,
    DiarizationResult,
    GraphHealth,
    LanguageResult,
    ModelInfo,
    SpeakerResult,
    Waveform,
)

T = TypeVar("T")
P = ParamSpec("P")
ProgressCallback = Callable[[DiarizationProgress], None]

APPLICATION = "voxgraph"
"""The application's name in the configuration files."""


class AsyncVoxgraph:
    """The questions that the graph answers, to await.

    Waveforms are float32, shape (samples,), mono, 16 kHz: what `pipelines.audio.decode` returns. Every method
    takes the number of seconds to wait and raises `DeadlineExceeded` after them, `Overloaded` when queues are
    full, `ModelUnavailable` when a model is not available, and `InvalidAudio` for an array that is no
    waveform.

    Args:
        handle: Handle of the ingress.
    """

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle

    @classmethod
    def connect(cls, application: str = APPLICATION) -> "AsyncVoxgraph":
        """Find the graph that runs in this Ray cluster; connects the process to the cluster if needed.

        Raises:
            ray.serve.exceptions.RayServeException: No such application runs.
        """
        return cls(serve.get_app_handle(application))

    async def detect_language(self, waveform: Waveform, *, timeout_s: float = DEADLINE_S) -> LanguageResult:
        """Detect which language is spoken."""
        result: LanguageResult = await self._ask("detect_language", timeout_s, waveform)
        return result

    async def embed(
        self, waveform: Waveform, encoder: ModelKey | None = None, *, timeout_s: float = DEADLINE_S
    ) -> SpeakerResult:
        """Embed the voice; the language decides the encoder unless one is named."""
        result: SpeakerResult = await self._ask("embed", timeout_s, waveform, encoder)
        return result

    async def embed_pair(
        self, first: Waveform, second: Waveform, *, timeout_s: float = DEADLINE_S
    ) -> tuple[SpeakerResult, SpeakerResult]:
        """Embed two voices with one encoder, that of the language which is detected more surely."""
        result: tuple[SpeakerResult, SpeakerResult] = await self._ask("embed_pair", timeout_s, first, second)
        return result

    async def identify_accent(
        self, waveform: Waveform, model: AccentModel = "xlsr", *, timeout_s: float = DEADLINE_S
    ) -> AccentResult:
        """Identify the accent of spoken English."""
        result: AccentResult = await self._ask("identify_accent", timeout_s, waveform, model)
        return result

    async def diarize(
        self,
        waveform: Waveform,
        speakers: SpeakerCount = SpeakerCount(),
        *,
        timeout_s: float = DIARIZATION_DEADLINE_S,
        on_progress: ProgressCallback | None = None,
    ) -> DiarizationResult:
        """Find who speaks when; `on_progress` is called whenever a part of a long recording is done."""
        if on_progress is None:
            result: DiarizationResult = await self._ask("diarize", timeout_s, waveform, speakers)
            return result
        method = self._handle.options(stream=True).diarize_with_progress
        async with aclosing(
            stream(lambda: method.remote(waveform, speakers), Deadline.after(timeout_s))
        ) as answers:
            async for answer in answers:
                if isinstance(answer, DiarizationResult):
                    return answer
                on_progress(answer)
        raise ModelUnavailable("The graph ended its answer early.")

    async def detect_deepfake(
        self, waveform: Waveform, options: ChunkOptions = ChunkOptions(), *, timeout_s: float = DEADLINE_S
    ) -> DeepfakeVerdict:
        """Detect which overlapping chunks are AI-generated."""
        result: DeepfakeVerdict = await self._ask("detect_deepfake", timeout_s, waveform, options)
        return result

    async def analyze(
        self,
        waveform: Waveform,
        tasks: tuple[Task, ...] = TASKS,
        speakers: SpeakerCount = SpeakerCount(),
        options: ChunkOptions = ChunkOptions(),
        *,
        timeout_s: float = DIARIZATION_DEADLINE_S,
    ) -> Analysis:
        """Answer several questions about one recording side by side.

        Raises:
            InvalidOptions: `tasks` is empty or has a name that `TASKS` does not have.
        """
        result: Analysis = await self._ask("analyze", timeout_s, waveform, tasks, speakers, options)
        return result

    async def health(self, *, timeout_s: float = DEADLINE_S) -> GraphHealth:
        """Say which models answer, where they run and which checkpoints they have."""
        result: GraphHealth = await self._ask("health", timeout_s)
        return result

    async def info(self, model: ModelKey, *, timeout_s: float = DEADLINE_S) -> ModelInfo:
        """Say what a model has loaded."""
        result: ModelInfo = await self._ask("info", timeout_s, model)
        return result

    async def _ask(self, question: str, timeout_s: float, *arguments: object) -> Any:
        method = getattr(self._handle, question)
        return await call(lambda: method.remote(*arguments), Deadline.after(timeout_s))


def _blocking(
    question: Callable[Concatenate[AsyncVoxgraph, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate["Voxgraph", P], T]:
    """Make a method that runs a question to its end in an event loop of its own, which Ctrl-C cancels."""

    @functools.wraps(question)
    def ask(self: "Voxgraph", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return asyncio.run(question(self._graph, *args, **kwargs))

    return ask


class Voxgraph:
    """The same for code without ``async``: each method blocks and returns the answer.

    Args:
        handle: Handle of the ingress.
    """

    def __init__(self, handle: DeploymentHandle) -> None:
        self._graph = AsyncVoxgraph(handle)

    @classmethod
    def connect(cls, application: str = APPLICATION) -> "Voxgraph":
        """Find the graph that runs in this Ray cluster, as `AsyncVoxgraph.connect` does."""
        return cls(serve.get_app_handle(application))

    detect_language = _blocking(AsyncVoxgraph.detect_language)
    embed = _blocking(AsyncVoxgraph.embed)
    embed_pair = _blocking(AsyncVoxgraph.embed_pair)
    identify_accent = _blocking(AsyncVoxgraph.identify_accent)
    diarize = _blocking(AsyncVoxgraph.diarize)
    detect_deepfake = _blocking(AsyncVoxgraph.detect_deepfake)
    analyze = _blocking(AsyncVoxgraph.analyze)
    health = _blocking(AsyncVoxgraph.health)
    info = _blocking(AsyncVoxgraph.info)
