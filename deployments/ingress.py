"""Ingress: the deployment that HTTP and Python callers call; it composes the models.

HTTP requests arrive through `deployments.api.app`. The ingress calls the models (`deployments.replica`)
through their handles.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import psutil
from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from config.settings import GraphSettings, IngressTunables
from deployments.api.app import create_app
from deployments.api.began import elapsed_s
from deployments.channels import ONE_SPEAKER, diarize_each
from deployments.deepfake import conclude
from deployments.events import Answer, once, run_tasks
from deployments.galleries import VoiceGalleries
from deployments.listening import RemoteListener
from deployments.loading import ACCENT_MODELS
from deployments.parts import diarize_in_parts, score_chunks
from deployments.replica.health import HeldHealthCheck
from deployments.replica.loopback import listen_on_loopback
from deployments.replica.malloc_trim import start_malloc_trim_thread
from deployments.replica.shared_pages import start_shared_pages_thread
from deployments.speech import require_speech
from deployments.state.client import GraphStateClient
from deployments.state.gallery_client import GalleryClient
from deployments.state.result_cache import cache_key
from deployments.surroundings import with_cors_origins, with_surroundings
from deployments.transport.clips import Clip, ModelHandle
from deployments.transport.concurrency import OnProgress, gather_or_cancel
from deployments.transport.metrics import IngressMetrics
from deployments.transport.model_info import BUSY_ERRORS, ModelInfoCache
from deployments.transport.model_reports import status_of
from deployments.transport.validation import validate_waveform
from deployments.voices import Languages, Voices, allow_list, check_encoder, check_tasks
from pipelines.chunking import chunk_spans, conversation_parts
from pipelines.routing import ENCODERS, common_encoder
from voxgraph.calls import Deadline, call
from voxgraph.errors import ModelUnavailable, VoxError
from voxgraph.options import TASKS, AccentModel, ChunkOptions, ModelKey, SpeakerCount, Task
from voxgraph.results import (
    SAMPLE_RATE_HZ,
    AccentResult,
    Analysis,
    AnalysisEvent,
    DeepfakeVerdict,
    DiarizationResult,
    GraphHealth,
    LanguageResult,
    ModelInfo,
    Received,
    SpeakerResult,
    Waveform,
)

T = TypeVar("T")
Models = dict[ModelKey, DeploymentHandle]

INLINE_SAMPLES = 1 << 20
"""Samples up to which a recording is validated on the event loop, in half a millisecond: a minute."""
HEALTH_DEADLINE_S = 5.0
"""Seconds after which a model that has not answered a health request counts as busy or failed."""


@serve.ingress()
class Ingress(HeldHealthCheck):
    """Implements `voxgraph.analyzer.Analyzer`, for calls by handle and over HTTP.

    Waveforms are float32, shape (samples,), mono, 16 kHz. Every method raises `InvalidAudio` for any other
    array, `DeadlineExceeded` after the deadline of `IngressTunables`, `Overloaded` if the queue of a model is
    full, and `ModelUnavailable` if a model is not available.
    """

    def __init__(
        self,
        settings: GraphSettings,
        models: Models,
        state: DeploymentHandle,
        gallery: DeploymentHandle | None = None,
    ) -> None:
        listen_on_loopback()
        self._settings = settings
        self._tunables = IngressTunables()
        self._models = {key: ModelHandle(handle) for key, handle in models.items()}
        self._infos = ModelInfoCache(self._models)
        self.state = GraphStateClient(state, self._tunables.accent_deadline_s, self._tunables.cache_entries)
        self.diarization_model = settings.diarization
        self._voices = Voices(self._call_model, self._infos, lambda: self._tunables)
        self._listener = RemoteListener(self._models[settings.diarization], lambda: self._tunables)
        self.gallery = None if gallery is None else GalleryClient(gallery)
        self._galleries = VoiceGalleries(self)
        self._metrics = IngressMetrics()
        start_malloc_trim_thread()
        start_shared_pages_thread()

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Return the HTTP application; Serve calls this after the constructor."""
        settings = with_cors_origins(self._settings, os.environ.get("ALLOWED_ORIGINS", ""))
        return create_app(self, with_surroundings(settings, os.environ))

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Apply the tunables of `user_config`; requests in progress keep theirs."""
        self._tunables = IngressTunables.model_validate(user_config)
        self.state.reconfigure(self._tunables.accent_deadline_s, self._tunables.cache_entries)
        self._listener.reconfigure()

    @property
    def max_requests(self) -> int:
        """Maximum number of recordings in progress in this replica."""
        return self._tunables.max_requests

    def deadline_s(self, diarizes: bool) -> float:
        """Return the seconds that a request may take from the beginning of its decoding."""
        return self._tunables.diarization_deadline_s if diarizes else self._tunables.deadline_s

    @property
    def max_running_jobs(self) -> int:
        """Maximum number of jobs that this replica computes at a time."""
        return self._tunables.max_running_jobs

    async def detect_language(
        self, waveform: Waveform, languages: Languages = (), allow_no_speech: bool = False
    ) -> LanguageResult:
        """Detect which language is spoken, among all or among the given ones."""
        allowed = allow_list(languages)
        language = partial(self._voices.language, languages=allowed)
        found = await self._answer("language", self._models_for("language"), waveform, language, allowed)
        return require_speech(found, allow_no_speech)

    async def embed(
        self,
        waveform: Waveform,
        encoder: ModelKey | None = None,
        languages: Languages = (),
        allow_no_speech: bool = False,
    ) -> SpeakerResult:
        """Embed the voice; the language, among the given ones, decides the encoder unless one is named."""
        check_encoder(encoder)
        routing = self._routing(encoder, languages)
        voice = partial(self._voices.voice, encoder=encoder, languages=allow_list(languages))
        models = self._models_for("speaker", encoder)
        found = await self._answer("speaker", models, waveform, voice, *routing)
        return require_speech(found, allow_no_speech)

    async def embed_pair(
        self,
        first: Waveform,
        second: Waveform,
        encoder: ModelKey | None = None,
        languages: Languages = (),
        allow_no_speech: bool = False,
    ) -> tuple[SpeakerResult, SpeakerResult]:
        """Embed two voices with one encoder: the named one, or that of the language detected most surely."""
        check_encoder(encoder)
        allowed = allow_list(languages)
        deadline = self._deadline_of(())
        clips = [await self._accept("speaker", waveform) for waveform in (first, second)]
        found: list[LanguageResult | None] = [None, None]
        if encoder is None:
            detect = partial(self._voices.language, languages=allowed)
            models = self._models_for("language")
            known = await gather_or_cancel(
                *(self._cached("language", models, clip, deadline, detect, allowed) for clip in clips)
            )
            found, encoder = [*known], common_encoder(known, self._tunables.cnceleb_min_probability)
        embed = partial(self._voices.voice, encoder=encoder)
        models, routing = self._models_for("speaker", encoder), self._routing(encoder, ())
        voices = await gather_or_cancel(
            *(self._cached("speaker", models, clip, deadline, embed, *routing) for clip in clips)
        )
        one, other = (
            require_speech(replace(voice, language=language), allow_no_speech)
            for voice, language in zip(voices, found, strict=True)
        )
        return one, other

    async def identify_accent(
        self, waveform: Waveform, model: AccentModel = "xlsr", allow_no_speech: bool = False
    ) -> AccentResult:
        """Identify the accent of spoken English."""
        accent = partial(self._accent, model=model)
        found = await self._answer("accent", (ACCENT_MODELS[model],), waveform, accent)
        return require_speech(found, allow_no_speech)

    async def diarize(self, waveform: Waveform, speakers: SpeakerCount = SpeakerCount()) -> DiarizationResult:
        """Find who speaks when."""
        turns = partial(self._turns, speakers=speakers)
        return await self._answer("diarization", self._models_for("diarization"), waveform, turns, speakers)

    async def diarize_channels(self, channels: Sequence[Waveform]) -> DiarizationResult:
        """Find when each channel talks; a channel is one speaker, without what it copies of others."""
        models = self._models_for("diarization")
        deadline = self._deadline_of(models)
        compute = partial(self._turns, speakers=ONE_SPEAKER)

        async def turns(channel: Waveform) -> DiarizationResult:
            clip = await self._accept("diarization", channel)
            return await self._cached("diarization", models, clip, deadline, compute, ONE_SPEAKER)

        for channel in channels:
            await self._validated(channel)
        return await diarize_each(channels, self._settings.limits, turns)

    async def detect_deepfake(
        self, waveform: Waveform, options: ChunkOptions = ChunkOptions(), allow_no_speech: bool = False
    ) -> DeepfakeVerdict:
        """Detect which overlapping chunks are AI-generated; all replicas of the detector share them."""
        verdict = partial(self._verdict, options=options)
        found = await self._answer("deepfake", self._models_for("deepfake"), waveform, verdict, options)
        return require_speech(found, allow_no_speech)

    async def analyze(
        self,
        waveform: Waveform,
        tasks: tuple[Task, ...] = TASKS,
        speakers: SpeakerCount = SpeakerCount(),
        options: ChunkOptions = ChunkOptions(),
        encoder: ModelKey | None = None,
        languages: Languages = (),
        allow_no_speech: bool = False,
    ) -> Analysis:
        """Answer several questions about one recording concurrently; the language is detected once.

        Raises:
            InvalidOptions: `tasks` is empty or contains a name that is not in `TASKS`, or `encoder` or
                `languages` are of no model.
        """
        check_tasks(tasks)
        check_encoder(encoder)
        allowed = allow_list(languages)
        models = sorted({model for task in tasks for model in self._models_for(task, encoder)})

        async def analysis(clip: Clip, deadline: Deadline) -> Analysis:
            questions: dict[Task, Callable[[], Coroutine[Any, Any, Any]]] = {
                "accent": lambda: self._accent(clip, deadline, "xlsr"),
                "diarization": lambda: self._turns(clip, deadline, speakers),
                "deepfake": lambda: self._verdict(clip, deadline, options),
            }
            requested: list[Task] = [task for task in questions if task in tasks]
            voice, *answers = await gather_or_cancel(
                self._voices.language_and_voice(clip, deadline, tasks, encoder, allowed),
                *(questions[task]() for task in requested),
            )
            found = Analysis(**voice, **dict(zip(requested, answers, strict=True)))
            return found if found.diarization is None else replace(found, speech_s=found.diarization.speech_s)

        context = (sorted(tasks), speakers, options, *self._routing(encoder, languages))
        answered = await self._answer("analyze", models, waveform, analysis, *context)
        return require_speech(answered, allow_no_speech or models == [self.diarization_model])

    async def analyze_events(
        self,
        waveform: Waveform,
        tasks: tuple[Task, ...] = TASKS,
        speakers: SpeakerCount = SpeakerCount(),
        options: ChunkOptions = ChunkOptions(),
        encoder: ModelKey | None = None,
        languages: Languages = (),
        allow_no_speech: bool = False,
    ) -> AsyncGenerator[AnalysisEvent]:
        """Answer several questions about one recording, each as soon as its answer is there.

        The answers are cached under their own questions. Call it through a handle with ``stream=True``.
        """
        check_tasks(tasks)
        check_encoder(encoder)
        clip, allowed = await self._accept("analyze", waveform), allow_list(languages)
        # If the model cannot be asked, the tasks that need it fail by themselves.
        with suppress(ModelUnavailable, *BUSY_ERRORS):
            await self._voices.check_languages(allowed)
        samples, audio_s = len(clip.waveform), len(clip.waveform) / SAMPLE_RATE_HZ
        yield Received(round(audio_s, 3))
        deadline = self._deadline_of([model for task in tasks for model in self._models_for(task)])

        async def cached(task: Task, compute: Callable[..., Awaitable[Any]], *context: object) -> Any:
            models = self._models_for(task, encoder if task == "speaker" else None)
            found = await self._cached(task, models, clip, deadline, compute, *context)
            return require_speech(found, allow_no_speech or task == "diarization")

        detect = partial(self._voices.language, languages=allowed)
        language = once(lambda: cached("language", detect, allowed))

        async def voice(clip: Clip, deadline: Deadline) -> SpeakerResult:
            if encoder is None:
                return await self._voices.voice_in(await language(), clip, deadline)
            return await self._voices.voice(clip, deadline, encoder)

        answers: dict[Task, Answer] = {
            "language": lambda _: language(),
            "speaker": lambda _: cached("speaker", voice, *self._routing(encoder, languages)),
            "accent": lambda _: cached("accent", partial(self._accent, model="xlsr")),
            "diarization": lambda report: cached(
                "diarization", partial(self._turns, speakers=speakers, on_progress=report), speakers
            ),
            "deepfake": lambda report: cached(
                "deepfake", partial(self._verdict, options=options, on_progress=report), options
            ),
        }
        parts: dict[Task, int] = {
            "diarization": len(conversation_parts(samples)), "deepfake": len(chunk_spans(samples, options)),
        }  # fmt: skip
        requested = {task: answers[task] for task in TASKS if task in tasks}
        async with aclosing(run_tasks(requested, parts, audio_s)) as events:
            async for event in events:
                yield event

    async def ask_galleries(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of `deployments.galleries.VoiceGalleries`, for callers by handle."""
        return await getattr(self._galleries, method)(*arguments, **options)

    async def health(self) -> GraphHealth:
        """Return which models answer, where they run and what they have loaded, as they report it."""
        deadline = Deadline.after(HEALTH_DEADLINE_S)
        health = GraphHealth(memory_mb=psutil.Process().memory_info().rss / 1e6)

        async def check(key: ModelKey) -> None:
            try:
                status = await status_of(self._models[key], deadline)
            except VoxError as error:
                if isinstance(error, BUSY_ERRORS) and (info := self._infos.last_known(key)) is not None:
                    health.models[key] = info
                else:
                    health.failed[key] = error.detail
            else:
                health.models[key] = status.model
                health.memory_mb += status.memory_mb

        await gather_or_cancel(*(check(key) for key in self._models))
        return health

    async def info(self, model: ModelKey) -> ModelInfo:
        """Return what a model has loaded and where it runs; raises what `ModelInfoCache.get` raises."""
        return await self._infos.get(model)

    async def _accent(self, clip: Clip, deadline: Deadline, model: AccentModel) -> AccentResult:
        result: AccentResult = await self._call_model(ACCENT_MODELS[model], clip, deadline)
        return result

    async def _turns(
        self, clip: Clip, deadline: Deadline, speakers: SpeakerCount, on_progress: OnProgress = lambda _: None
    ) -> DiarizationResult:
        model, window = self._models[self.diarization_model], self._tunables.diarization_window
        return await diarize_in_parts(model, clip, deadline, speakers, window, on_progress)

    async def _verdict(
        self, clip: Clip, deadline: Deadline, options: ChunkOptions, on_progress: OnProgress = lambda _: None
    ) -> DeepfakeVerdict:
        spans, window = chunk_spans(len(clip.waveform), options), self._tunables.chunk_window
        scores = await score_chunks(
            self._models[ModelKey.DEEPFAKE], clip, deadline, spans, window, on_progress
        )
        return conclude(spans, scores, options, self._settings)

    async def _call_model(self, model: ModelKey, clip: Clip, deadline: Deadline) -> Any:
        await clip.pack()
        return await call(lambda: self._models[model].answer(clip), deadline)

    async def _answer(
        self,
        question: str,
        models: Sequence[ModelKey],
        waveform: Waveform,
        compute: Callable[[Clip, Deadline], Awaitable[T]],
        *options: object,
    ) -> T:
        """Accept a recording and answer a question about it, as `_cached` does.

        A question that includes diarization has a deadline of its own.
        """
        deadline = self._deadline_of(models)
        clip = await self._accept(question, waveform)
        return await self._cached(question, models, clip, deadline, compute, *options)

    async def _cached(
        self,
        question: str,
        models: Sequence[ModelKey],
        clip: Clip,
        deadline: Deadline,
        compute: Callable[[Clip, Deadline], Awaitable[T]],
        *options: object,
    ) -> T:
        """Answer a question from the cache, or compute it; identical questions in flight are computed once.

        The cache key is made of the recording, the question, the revisions of `models`, and `options`. How
        much speech there is is found beside every question.
        """
        revisions = await gather_or_cancel(*(self._infos.revision(model) for model in models))
        limits = self._listener.limits
        key = cache_key(await clip.digest(), question, models, revisions, options, limits)
        if [*models] != [self.diarization_model]:  # which finds the speech itself
            compute = self._listener.beside(compute)
        return await self.state.cached(key, question, lambda: compute(clip, deadline), deadline)

    def _deadline_of(self, models: Sequence[ModelKey]) -> Deadline:
        """Return the deadline of a question that these models answer; the decoding counts."""
        return Deadline.after(self.deadline_s(self.diarization_model in models) - elapsed_s())

    def _routing(self, encoder: ModelKey | None, languages: Languages) -> tuple[object, ...]:
        """Return what the choice of an encoder depends on besides the recording, for a cache key."""
        return encoder, allow_list(languages), self._tunables.cnceleb_min_probability

    def _models_for(self, task: Task, encoder: ModelKey | None = None) -> tuple[ModelKey, ...]:
        """Return the models that may contribute to the answer of a task; `encoder` is that of the voice."""
        return {
            "language": (ModelKey.LANGUAGE,),
            "speaker": (ModelKey.LANGUAGE, *ENCODERS) if encoder is None else (encoder,),
            "accent": (ModelKey.ACCENT_XLSR,),
            "diarization": (self.diarization_model,),
            "deepfake": (ModelKey.DEEPFAKE,),
        }[task]

    async def _accept(self, question: str, waveform: Waveform) -> Clip:
        """Validate a recording and count it."""
        clip = Clip(await self._validated(waveform))
        self._metrics.record_received(question, len(clip.waveform) / SAMPLE_RATE_HZ)
        return clip

    async def _validated(self, waveform: Waveform) -> Waveform:
        """Validate a recording, a long one in a thread; raises what `validate_waveform` raises."""
        is_long = isinstance(waveform, np.ndarray) and waveform.size > INLINE_SAMPLES
        if is_long:
            return await asyncio.to_thread(validate_waveform, waveform, self._settings)
        return validate_waveform(waveform, self._settings)
