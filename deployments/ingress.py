"""The ingress: the one deployment that HTTP and Python callers talk to; it composes the models.

HTTP comes in through `deployments.api.app`; each question goes on to the models (`deployments.replica`) by
handle.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

import psutil
from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from config.settings import GraphSettings, IngressTunables
from deployments.api.app import create_app
from deployments.replica.health import HeldHealthCheck
from deployments.replica.malloc_trim import start_malloc_trim_thread
from deployments.state.client import GraphStateClient
from deployments.state.result_cache import key_of
from deployments.transport.calls import call_all, call_when_capacity, gather_or_cancel
from deployments.transport.clips import Clip, ModelHandle, to_pcm16, validate_waveform
from deployments.transport.metrics import IngressMetrics
from deployments.transport.model_info import BUSY_ERRORS, ModelInfoCache
from pipelines.chunking import chunk_spans, conversation_parts
from pipelines.routing import ENCODERS, encoder_for
from voxgraph.calls import Deadline, call
from voxgraph.errors import InvalidOptions, VoxError
from voxgraph.options import TASKS, AccentModel, ChunkOptions, ModelKey, SpeakerCount, Task
from voxgraph.results import (
    SAMPLE_RATE_HZ,
    AccentResult,
    Analysis,
    DeepfakeChunk,
    DeepfakeVerdict,
    DiarizationProgress,
    DiarizationResult,
    GraphHealth,
    LanguageResult,
    ModelInfo,
    ReplicaStatus,
    SpeakerResult,
    Waveform,
)

T = TypeVar("T")
Models = dict[ModelKey, DeploymentHandle]

ACCENT_MODELS: dict[AccentModel, ModelKey] = {
    "xlsr": ModelKey.ACCENT_XLSR,
    "ecapa": ModelKey.ACCENT_ECAPA,
}
HEALTH_DEADLINE_S = 5.0


@serve.ingress()
class Ingress(HeldHealthCheck):
    """The `Analyzer` of the graph: every question as a method, by handle or over HTTP.

    Waveforms are float32, shape (samples,), mono, 16 kHz. Every method raises `InvalidAudio` for an
    array that is not, `DeadlineExceeded` past the deadline of `IngressTunables`, `Overloaded` when a
    model's queue is full, and `ModelUnavailable` when a model is not there.
    """

    def __init__(self, settings: GraphSettings, models: Models, state: DeploymentHandle) -> None:
        self._settings = settings
        self._tunables = IngressTunables()
        self._models = {key: ModelHandle(handle) for key, handle in models.items()}
        self._infos = ModelInfoCache(self._models)
        self.state = GraphStateClient(state, self._tunables.accent_deadline_s, self._tunables.cache_entries)
        self.diarization_model = settings.diarization
        self._metrics = IngressMetrics()
        start_malloc_trim_thread()

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The HTTP application; Serve calls this once the constructor is done."""
        return create_app(self, with_origins(self._settings, os.environ.get("ALLOWED_ORIGINS", "")))

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take new tunables from `user_config`; requests under way keep theirs."""
        self._tunables = IngressTunables.model_validate(user_config)
        self.state.reconfigure(self._tunables.accent_deadline_s, self._tunables.cache_entries)

    @property
    def max_requests(self) -> int:
        """Recordings that are worked on at a time."""
        return self._tunables.max_requests

    async def detect_language(self, waveform: Waveform) -> LanguageResult:
        """Which language is spoken."""
        deadline = self._deadline()
        return await self._answer(
            "language",
            waveform,
            self._models_of("language"),
            lambda clip: self._language(clip, deadline),
            deadline,
        )

    async def embed(self, waveform: Waveform, encoder: ModelKey | None = None) -> SpeakerResult:
        """The voice as a vector; the language decides the encoder unless one is named."""
        deadline = self._deadline()

        async def voice(clip: Clip) -> SpeakerResult:
            return await self._voice(clip, await self._language(clip, deadline), deadline, encoder)

        return await self._answer("speaker", waveform, self._models_of("speaker"), voice, deadline, encoder)

    async def embed_pair(self, first: Waveform, second: Waveform) -> tuple[SpeakerResult, SpeakerResult]:
        """Two voices by one encoder, that of the language which is told more surely."""
        deadline = self._deadline()
        clips = [self._received("speaker", waveform) for waveform in (first, second)]
        languages = await gather_or_cancel(*(self._language(clip, deadline) for clip in clips))
        encoder = encoder_for(max(languages, key=lambda result: result.confidence).language)
        one, other = await gather_or_cancel(
            *(
                self._voice(clip, language, deadline, encoder)
                for clip, language in zip(clips, languages, strict=True)
            )
        )
        return one, other

    async def identify_accent(self, waveform: Waveform, model: AccentModel = "xlsr") -> AccentResult:
        """Which accent of English is heard."""
        deadline = self._deadline()
        return await self._answer(
            "accent", waveform, (ACCENT_MODELS[model],), lambda clip: self._accent(clip, model, deadline),
            deadline,
        )  # fmt: skip

    async def diarize(self, waveform: Waveform, speakers: SpeakerCount = SpeakerCount()) -> DiarizationResult:
        """Who speaks when."""
        deadline = self._diarization_deadline()
        return await self._answer(
            "diarization", waveform, self._models_of("diarization"),
            lambda clip: self._turns(clip, speakers, deadline), deadline, speakers,
        )  # fmt: skip

    async def diarize_with_progress(
        self, waveform: Waveform, speakers: SpeakerCount = SpeakerCount()
    ) -> AsyncGenerator[DiarizationProgress | DiarizationResult]:
        """Who speaks when, the parts that are done told on the way; the result comes last.

        For handles with ``stream=True``. The answer is computed even where the cache has one.
        """
        clip, deadline = self._received("diarization", waveform), self._diarization_deadline()
        parts = len(conversation_parts(len(waveform)))
        told: asyncio.Queue[int | None] = asyncio.Queue()
        work = asyncio.create_task(self._turns(clip, speakers, deadline, told.put_nowait))
        work.add_done_callback(lambda _: told.put_nowait(None))
        try:
            while (done := await told.get()) is not None:
                yield DiarizationProgress(done, parts)
            yield await work
        finally:
            work.cancel()

    async def detect_deepfake(
        self, waveform: Waveform, options: ChunkOptions = ChunkOptions()
    ) -> DeepfakeVerdict:
        """Which overlapping chunks are AI-generated; they are fanned out to all replicas of the detector."""
        deadline = self._deadline()
        return await self._answer(
            "deepfake", waveform, self._models_of("deepfake"),
            lambda clip: self._verdict(clip, options, deadline), deadline, options,
        )  # fmt: skip

    async def analyze(
        self,
        waveform: Waveform,
        tasks: tuple[Task, ...] = TASKS,
        speakers: SpeakerCount = SpeakerCount(),
        options: ChunkOptions = ChunkOptions(),
    ) -> Analysis:
        """Several questions side by side on one recording; the language is detected once.

        Raises:
            InvalidOptions: `tasks` is empty or names something else than `TASKS`.
        """
        if not tasks or (unknown := set(tasks) - set(TASKS)):
            raise InvalidOptions(f"tasks are {', '.join(TASKS)}; got {sorted(unknown) if tasks else 'none'}.")
        deadline = self._diarization_deadline() if "diarization" in tasks else self._deadline()
        return await self._answer(
            "analyze", waveform, sorted({model for task in tasks for model in self._models_of(task)}),
            lambda clip: self._analysis(clip, tasks, speakers, options, deadline),
            deadline, sorted(tasks), speakers, options,
        )  # fmt: skip

    async def health(self) -> GraphHealth:
        """Which models answer, where they run and which checkpoints they have."""
        deadline = Deadline.after(HEALTH_DEADLINE_S)
        health = GraphHealth(memory_mb=psutil.Process().memory_info().rss / 1e6)

        async def ask(key: ModelKey) -> None:
            try:
                status: ReplicaStatus = await call(lambda: self._models[key].direct.status.remote(), deadline)
            except VoxError as error:
                if isinstance(error, BUSY_ERRORS) and (said := self._infos.last(key)) is not None:
                    health.models[key] = said
                else:
                    health.failed[key] = error.detail
            else:
                health.models[key] = status.model
                health.memory_mb += status.memory_mb

        await gather_or_cancel(*(ask(key) for key in self._models))
        return health

    async def info(self, model: ModelKey) -> ModelInfo:
        """What a model has loaded.

        Raises:
            ModelUnavailable: It is not in the graph, or has no checkpoint.
            DeadlineExceeded: It has not said it yet, and is too busy.
            Overloaded: So it is.
        """
        return await self._infos.get(model)

    async def _analysis(
        self,
        clip: Clip,
        tasks: tuple[Task, ...],
        speakers: SpeakerCount,
        options: ChunkOptions,
        deadline: Deadline,
    ) -> Analysis:
        questions: dict[Task, Callable[[], Coroutine[Any, Any, Any]]] = {
            "accent": lambda: self._accent(clip, "xlsr", deadline),
            "diarization": lambda: self._turns(clip, speakers, deadline),
            "deepfake": lambda: self._verdict(clip, options, deadline),
        }
        asked: list[Task] = [task for task in questions if task in tasks]
        voice, *answers = await gather_or_cancel(
            self._language_and_voice(clip, tasks, deadline), *(questions[task]() for task in asked)
        )
        return Analysis(**voice, **dict(zip(asked, answers, strict=True)))

    async def _language(self, clip: Clip, deadline: Deadline) -> LanguageResult:
        result: LanguageResult = await self._ask(ModelKey.LANGUAGE, clip, deadline)
        return result

    async def _voice(
        self,
        clip: Clip,
        language: LanguageResult,
        deadline: Deadline,
        encoder: ModelKey | None = None,
    ) -> SpeakerResult:
        embedding = await self._ask(encoder or encoder_for(language.language), clip, deadline)
        return SpeakerResult(embedding, language)

    async def _language_and_voice(
        self, clip: Clip, tasks: tuple[Task, ...], deadline: Deadline
    ) -> dict[str, Any]:
        """The answers to language and speaker, as far as they are asked for; the second needs the first."""
        if not {"language", "speaker"} & set(tasks):
            return {}
        language = await self._language(clip, deadline)
        answers: dict[str, Any] = {"language": language} if "language" in tasks else {}
        if "speaker" in tasks:
            answers["speaker"] = await self._voice(clip, language, deadline)
        return answers

    async def _accent(self, clip: Clip, model: AccentModel, deadline: Deadline) -> AccentResult:
        result: AccentResult = await self._ask(ACCENT_MODELS[model], clip, deadline)
        return result

    async def _turns(
        self,
        clip: Clip,
        speakers: SpeakerCount,
        deadline: Deadline,
        done: Callable[[int], None] = lambda _: None,
    ) -> DiarizationResult:
        """Turns of a recording: a short one in one call, a long one in parts over all replicas."""
        parts = conversation_parts(len(clip.waveform))
        model = self._models[self.diarization_model]
        if len(parts) == 1:
            whole: DiarizationResult = await call(
                lambda: model.handle_for(clip).diarize.remote(clip.sent, speakers), deadline
            )
            return whole
        handle = model.by_reference
        starts = [
            lambda s=start, e=end: handle.windows.remote(to_pcm16(clip.waveform[s:e])) for start, end in parts
        ]
        findings = await call_all(starts, deadline, self._tunables.diarization_window, done)
        result: DiarizationResult = await call_when_capacity(
            lambda: handle.turns.remote(findings, len(clip.waveform), speakers), deadline
        )
        return result

    async def _verdict(self, clip: Clip, options: ChunkOptions, deadline: Deadline) -> DeepfakeVerdict:
        cuts = chunk_spans(len(clip.waveform), options)
        model = self._models[ModelKey.DEEPFAKE]
        starts = [lambda s=start, e=end: model.answer(Clip(clip.waveform[s:e])) for start, end in cuts]
        scores = await call_all(starts, deadline, self._tunables.chunk_window)
        chunks = [
            DeepfakeChunk(index, start / SAMPLE_RATE_HZ, end / SAMPLE_RATE_HZ, score)
            for index, ((start, end), score) in enumerate(zip(cuts, scores, strict=True))
        ]
        return DeepfakeVerdict.from_chunks(chunks, options)

    async def _ask(self, model: ModelKey, clip: Clip, deadline: Deadline) -> Any:
        return await call(lambda: self._models[model].answer(clip), deadline)

    async def _answer(
        self,
        question: str,
        waveform: Waveform,
        models: Sequence[ModelKey],
        compute: Callable[["Clip"], Awaitable[T]],
        deadline: Deadline,
        *options: object,
    ) -> T:
        """The answer of the cache, or of the models; identical questions in flight are one."""
        clip = self._received(question, waveform)
        revisions = await gather_or_cancel(*(self._infos.revision(model) for model in models))
        key = await key_of(clip.digest_source, question, models, revisions, options)
        return await self.state.cached(key, question, lambda: compute(clip), deadline)

    def _models_of(self, task: Task) -> tuple[ModelKey, ...]:
        """The models that an answer may come from."""
        return {
            "language": (ModelKey.LANGUAGE,),
            "speaker": (ModelKey.LANGUAGE, *ENCODERS),
            "accent": (ModelKey.ACCENT_XLSR,),
            "diarization": (self.diarization_model,),
            "deepfake": (ModelKey.DEEPFAKE,),
        }[task]

    def _received(self, question: str, waveform: Waveform) -> Clip:
        """The recording, checked and counted."""
        clip = Clip(validate_waveform(waveform, self._settings))
        self._metrics.received(question, len(clip.waveform) / SAMPLE_RATE_HZ)
        return clip

    def _deadline(self) -> Deadline:
        return Deadline.after(self._tunables.deadline_s)

    def _diarization_deadline(self) -> Deadline:
        return Deadline.after(self._tunables.diarization_deadline_s)


def with_origins(settings: GraphSettings, variable: str) -> GraphSettings:
    """The settings with the origins of ``ALLOWED_ORIGINS``, separated by commas, where they name none."""
    origins = tuple(origin.strip() for origin in variable.split(",") if origin.strip())
    return settings if settings.cors_origins else settings.model_copy(update={"cors_origins": origins})
