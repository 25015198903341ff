"""Python clients of the running graph: ``Voxgraph.connect().detect_language(waveform)``.

They work in any process of the same Ray cluster: a driver, a task or a Ray job. They need ray. The methods
are those of `voxgraph.analyzer.Analyzer`. A call that ends early, by its timeout or by Ctrl-C, is cancelled
in the replicas; a call whose replica died is retried once.
"""

import asyncio
import functools
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Any, Concatenate, ParamSpec, TypeVar

from ray import serve
from ray.serve.handle import DeploymentHandle

from voxgraph.blocking import Blocking, blocking
from voxgraph.calls import Deadline, call, stream
from voxgraph.cluster import prepare_for_loopback
from voxgraph.errors import ModelUnavailable
from voxgraph.gallery_handles import AsyncGallery, Gallery
from voxgraph.options import (
    DEADLINE_S,
    DEFAULT_ACTOR,
    DEFAULT_TENANT,
    DIARIZATION_DEADLINE_S,
    TASKS,
    AccentModel,
    ChunkOptions,
    ModelKey,
    Place,
    SpeakerCount,
    Task,
)
from voxgraph.results import (
    AccentResult,
    Analysis,
    AnalysisEvent,
    DeepfakeVerdict,
    DiarizationResult,
    GraphHealth,
    LanguageResult,
    ModelInfo,
    Progress,
    SpeakerResult,
    TaskAnswer,
    TaskFailure,
    Waveform,
)

T = TypeVar("T")
P = ParamSpec("P")
ProgressCallback = Callable[[Progress], None]

APPLICATION = "voxgraph"
"""Name of the application in the configuration files."""


class AsyncVoxgraph:
    """Client of the running graph with asynchronous methods; `handle` is that of the ingress.

    Waveforms are float32, shape (samples,), mono, 16 kHz: what `pipelines.audio.decode` returns. Every method
    takes a timeout in seconds and raises `DeadlineExceeded` after it, `Overloaded` when queues are full,
    `ModelUnavailable` when a model is not available, and `InvalidAudio` for an array that is not a waveform.
    Questions about the language, voice, accent or deepfake of a recording without speech raise `NoSpeech`,
    unless `allow_no_speech` is given.
    """

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle

    @classmethod
    def connect(cls, application: str = APPLICATION) -> "AsyncVoxgraph":
        """Find the graph that runs in this Ray cluster; connect the process to the cluster if needed.

        Raises:
            ray.serve.exceptions.RayServeException: No application of this name runs.
        """
        prepare_for_loopback()
        return cls(serve.get_app_handle(application))

    def gallery(self, name: str, tenant: str = DEFAULT_TENANT, actor: str = DEFAULT_ACTOR) -> AsyncGallery:
        """Return a gallery of voices; `actor` is the name for its ledger."""
        return AsyncGallery(self._handle, Place(name, tenant, actor))

    async def detect_language(
        self,
        waveform: Waveform,
        languages: tuple[str, ...] = (),
        allow_no_speech: bool = False,
        *,
        timeout_s: float = DEADLINE_S,
    ) -> LanguageResult:
        """Detect which language is spoken; `languages` are the codes of the allowed ones, empty: all."""
        result: LanguageResult = await self._call(
            "detect_language", timeout_s, waveform, languages, allow_no_speech
        )
        return result

    async def embed(
        self,
        waveform: Waveform,
        encoder: ModelKey | None = None,
        languages: tuple[str, ...] = (),
        allow_no_speech: bool = False,
        *,
        timeout_s: float = DEADLINE_S,
    ) -> SpeakerResult:
        """Embed the voice; the language, among `languages`, decides the encoder unless one is named."""
        result: SpeakerResult = await self._call(
            "embed", timeout_s, waveform, encoder, languages, allow_no_speech
        )
        return result

    async def embed_pair(
        self,
        first: Waveform,
        second: Waveform,
        encoder: ModelKey | None = None,
        languages: tuple[str, ...] = (),
        allow_no_speech: bool = False,
        *,
        timeout_s: float = DEADLINE_S,
    ) -> tuple[SpeakerResult, SpeakerResult]:
        """Embed two voices with one encoder: the named one, or that of the language detected most surely."""
        result: tuple[SpeakerResult, SpeakerResult] = await self._call(
            "embed_pair", timeout_s, first, second, encoder, languages, allow_no_speech
        )
        return result

    async def identify_accent(
        self,
        waveform: Waveform,
        model: AccentModel = "xlsr",
        allow_no_speech: bool = False,
        *,
        timeout_s: float = DEADLINE_S,
    ) -> AccentResult:
        """Identify the accent of spoken English."""
        result: AccentResult = await self._call(
            "identify_accent", timeout_s, waveform, model, allow_no_speech
        )
        return result

    async def diarize(
        self,
        waveform: Waveform,
        speakers: SpeakerCount = SpeakerCount(),
        *,
        timeout_s: float = DIARIZATION_DEADLINE_S,
        on_progress: ProgressCallback | None = None,
    ) -> DiarizationResult:
        """Find who speaks when; `on_progress` gets a `Progress` after each part of a long recording."""
        if on_progress is None:
            result: DiarizationResult = await self._call("diarize", timeout_s, waveform, speakers)
            return result
        events = self.analyze_events(waveform, ("diarization",), speakers, timeout_s=timeout_s)
        async with aclosing(events):
            async for event in events:
                match event:
                    case Progress():
                        on_progress(event)
                    case TaskAnswer(result=DiarizationResult() as found):
                        return found
                    case TaskFailure():
                        raise event.error
        raise ModelUnavailable("The graph ended the stream before the result.")

    async def diarize_channels(
        self, channels: Sequence[Waveform], *, timeout_s: float = DIARIZATION_DEADLINE_S
    ) -> DiarizationResult:
        """Find when each channel talks: every channel is one speaker, ``CHANNEL_0``, ``CHANNEL_1``, ..."""
        result: DiarizationResult = await self._call("diarize_channels", timeout_s, tuple(channels))
        return result

    async def detect_deepfake(
        self,
        waveform: Waveform,
        options: ChunkOptions = ChunkOptions(),
        allow_no_speech: bool = False,
        *,
        timeout_s: float = DEADLINE_S,
    ) -> DeepfakeVerdict:
        """Detect which overlapping chunks are AI-generated."""
        result: DeepfakeVerdict = await self._call(
            "detect_deepfake", timeout_s, waveform, options, allow_no_speech
        )
        return result

    async def analyze(
        self,
        waveform: Waveform,
        tasks: tuple[Task, ...] = TASKS,
        speakers: SpeakerCount = SpeakerCount(),
        options: ChunkOptions = ChunkOptions(),
        encoder: ModelKey | None = None,
        languages: tuple[str, ...] = (),
        allow_no_speech: bool = False,
        *,
        timeout_s: float = DIARIZATION_DEADLINE_S,
    ) -> Analysis:
        """Answer several questions concurrently; no task or an unknown one raises `InvalidOptions`."""
        result: Analysis = await self._call(
            "analyze", timeout_s, waveform, tasks, speakers, options, encoder, languages, allow_no_speech
        )
        return result

    async def analyze_events(
        self,
        waveform: Waveform,
        tasks: tuple[Task, ...] = TASKS,
        speakers: SpeakerCount = SpeakerCount(),
        options: ChunkOptions = ChunkOptions(),
        encoder: ModelKey | None = None,
        languages: tuple[str, ...] = (),
        allow_no_speech: bool = False,
        *,
        timeout_s: float = DIARIZATION_DEADLINE_S,
    ) -> AsyncGenerator[AnalysisEvent]:
        """Answer several questions, each as soon as its answer is there; yield what happens.

        A task that fails does not affect the others. Closing the generator cancels what still runs.
        """
        method = self._handle.options(stream=True).analyze_events
        arguments = waveform, tasks, speakers, options, encoder, languages, allow_no_speech
        async with aclosing(stream(lambda: method.remote(*arguments), Deadline.after(timeout_s))) as events:
            async for event in events:
                yield event

    async def health(self, *, timeout_s: float = DEADLINE_S) -> GraphHealth:
        """Return which models answer, where they run and which checkpoints they have loaded."""
        result: GraphHealth = await self._call("health", timeout_s)
        return result

    async def info(self, model: ModelKey, *, timeout_s: float = DEADLINE_S) -> ModelInfo:
        """Return what a model has loaded and where it runs."""
        result: ModelInfo = await self._call("info", timeout_s, model)
        return result

    async def _call(self, method_name: str, timeout_s: float, *arguments: object) -> Any:
        method = getattr(self._handle, method_name)
        return await call(lambda: method.remote(*arguments), Deadline.after(timeout_s))


def _iterating(
    method: Callable[Concatenate[AsyncVoxgraph, P], AsyncGenerator[T]],
) -> Callable[Concatenate[Blocking[AsyncVoxgraph], P], Iterator[T]]:
    """Make a method that iterates over an asynchronous generator in its own event loop."""

    @functools.wraps(method)
    def iterating(self: Blocking[AsyncVoxgraph], /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        async def following(items: AsyncGenerator[T]) -> tuple[T, ...]:
            async for item in items:
                return (item,)
            return ()

        with asyncio.Runner() as runner:
            items = method(self._asynchronous, *args, **kwargs)
            try:
                while found := runner.run(following(items)):
                    yield found[0]
            finally:
                runner.run(items.aclose())

    return iterating


class Voxgraph(Blocking[AsyncVoxgraph]):
    """Blocking client of the running graph, for code without ``async``; `handle` is that of the ingress."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle
        super().__init__(AsyncVoxgraph(handle))

    @classmethod
    def connect(cls, application: str = APPLICATION) -> "Voxgraph":
        """Find the graph that runs in this Ray cluster; see `AsyncVoxgraph.connect`."""
        prepare_for_loopback()
        return cls(serve.get_app_handle(application))

    def gallery(self, name: str, tenant: str = DEFAULT_TENANT, actor: str = DEFAULT_ACTOR) -> Gallery:
        """Return a gallery of voices; `actor` is the name for its ledger."""
        return Gallery(self._handle, Place(name, tenant, actor))

    detect_language = blocking(AsyncVoxgraph.detect_language)
    embed = blocking(AsyncVoxgraph.embed)
    embed_pair = blocking(AsyncVoxgraph.embed_pair)
    identify_accent = blocking(AsyncVoxgraph.identify_accent)
    diarize = blocking(AsyncVoxgraph.diarize)
    diarize_channels = blocking(AsyncVoxgraph.diarize_channels)
    detect_deepfake = blocking(AsyncVoxgraph.detect_deepfake)
    analyze = blocking(AsyncVoxgraph.analyze)
    analyze_events = _iterating(AsyncVoxgraph.analyze_events)
    health = blocking(AsyncVoxgraph.health)
    info = blocking(AsyncVoxgraph.info)
