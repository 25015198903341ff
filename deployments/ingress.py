"""Ingress: the deployment that HTTP and Python callers call; it composes the models.

HTTP requests arrive through `deployments.api.app`. `deployments.questions` decides what is asked of which
model; the ingress calls the models (`deployments.replica`) through their handles, and caches the answers.
"""

import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import psutil
from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from config.settings import GraphSettings, IngressTunables
from deployments.api.app import create_app
from deployments.api.began import elapsed_s
from deployments.galleries import VoiceGalleries
from deployments.listening import RemoteListener
from deployments.parts import diarize_in_parts, score_chunks
from deployments.questions import Questions
from deployments.replica.health import HeldHealthCheck
from deployments.replica.loopback import listen_on_loopback
from deployments.replica.malloc_trim import start_malloc_trim_thread
from deployments.replica.shared_pages import start_shared_pages_thread
from deployments.speech import Spans
from deployments.state.client import GraphStateClient
from deployments.state.gallery_client import GalleryClient
from deployments.state.result_cache import cache_key
from deployments.surroundings import with_cors_origins, with_surroundings
from deployments.transport.clips import Clip, ModelHandle
from deployments.transport.concurrency import OnProgress, gather_or_cancel
from deployments.transport.metrics import IngressMetrics
from deployments.transport.model_info import BUSY_ERRORS, ModelInfoCache
from deployments.transport.model_reports import status_of
from pipelines.chunking import conversation_parts
from voxgraph.calls import Deadline, call
from voxgraph.errors import VoxError
from voxgraph.options import ModelKey, SpeakerCount
from voxgraph.results import (
    SAMPLE_RATE_HZ,
    DeepfakeScore,
    DiarizationResult,
    GraphHealth,
    ModelInfo,
    Waveform,
)

T = TypeVar("T")
Models = dict[ModelKey, DeploymentHandle]

HEALTH_DEADLINE_S = 5.0
"""Seconds after which a model that has not answered a health request counts as busy or failed."""


@serve.ingress()
class Ingress(HeldHealthCheck, Questions[Clip, Deadline]):
    """Implements `voxgraph.analyzer.Analyzer`, for calls by handle and over HTTP.

    Besides what `Questions` raises, every method raises `DeadlineExceeded` after the deadline of
    `IngressTunables`, `Overloaded` if the queue of a model is full, and `ModelUnavailable` if a model is not
    available.
    """

    def __init__(
        self,
        settings: GraphSettings,
        models: Models,
        state: DeploymentHandle,
        gallery: DeploymentHandle | None = None,
    ) -> None:
        listen_on_loopback()
        self._models = {key: ModelHandle(handle) for key, handle in models.items()}
        self._infos = ModelInfoCache(self._models)
        super().__init__(settings, self._infos)
        self.state = GraphStateClient(state, self._tunables)
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
        self.state.reconfigure(self._tunables)
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

    async def _turns(
        self, clip: Clip, deadline: Deadline, speakers: SpeakerCount, on_progress: OnProgress = lambda _: None
    ) -> DiarizationResult:
        model, window = self._models[self.diarization_model], self._tunables.diarization_window
        return await diarize_in_parts(model, clip, deadline, speakers, window, on_progress)

    def _diarization_parts(self, samples: int) -> int:
        return len(conversation_parts(samples))

    async def _scores(
        self, clip: Clip, deadline: Deadline, spans: Spans, on_progress: OnProgress
    ) -> list[DeepfakeScore]:
        model, window = self._models[ModelKey.DEEPFAKE], self._tunables.chunk_window
        return await score_chunks(model, clip, deadline, spans, window, on_progress)

    async def _ask(self, model: ModelKey, clip: Clip, deadline: Deadline) -> Any:
        await clip.pack()
        return await call(lambda: self._models[model].answer(clip), deadline)

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
        if not self._finds_speech(models):
            compute = self._listener.beside(compute)
        return await self.state.cached(key, question, lambda: compute(clip, deadline), deadline)

    def _deadline_of(self, models: Sequence[ModelKey]) -> Deadline:
        """Return the deadline of a question that these models answer; the decoding counts."""
        return Deadline.after(self.deadline_s(self.diarization_model in models) - elapsed_s())

    async def _accept(self, question: str, waveform: Waveform) -> Clip:
        """Validate a recording and count it."""
        clip = Clip(await self._validated(waveform))
        self._metrics.record_received(question, len(clip.waveform) / SAMPLE_RATE_HZ)
        return clip
