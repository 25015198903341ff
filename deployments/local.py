"""The graph in one process, without Ray: ``voxgraph ... --local`` answers with it.

The same HTTP application, pipelines and decisions as those of the graph; a model is loaded when it is first
asked. One recording is answered at a time.
"""

import asyncio
import math
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import psutil
import uvicorn

from config.settings import DecoderSettings, GraphSettings
from deployments.api.app import create_app
from deployments.events import MAX_REPORTS, once
from deployments.loading import deployed_models, load_diarizer, load_pipeline
from deployments.questions import Questions
from deployments.speech import Listener, Spans
from deployments.state.local_gallery import LocalGallery
from deployments.state.local_state import LocalState
from deployments.transport.concurrency import OnProgress
from deployments.transport.validation import check_length
from voxgraph.errors import CheckpointError, DeadlineExceeded, ModelUnavailable
from voxgraph.options import ModelKey, SpeakerCount
from voxgraph.results import (
    DeepfakeScore,
    DiarizationResult,
    GraphHealth,
    ModelInfo,
    Waveform,
)

T = TypeVar("T")

START_LIMIT_S = 30.0
STOP_LIMIT_S = 5.0
"""Seconds in which the HTTP application starts, and after the last request stops."""


class Models:
    """The models of a graph, loaded when they are first asked, and run on one thread.

    A model whose checkpoint cannot be loaded raises `ModelUnavailable` whenever it is asked.
    """

    def __init__(self, settings: GraphSettings) -> None:
        self._settings = settings
        self.deployed = deployed_models(settings)
        self._loaded: dict[ModelKey, Any] = {}
        self._thread = ThreadPoolExecutor(1, "voxgraph-engine")

    async def run(self, model: ModelKey, ask: Callable[[Any], T]) -> T:
        """Run a function of a loaded model on the engine thread, after all that were asked before."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: ask(self._load(model)))

    async def get(self, model: ModelKey) -> ModelInfo:
        """Return what a model has loaded; load it if necessary."""
        info: ModelInfo = await self.run(model, lambda pipeline: pipeline.info)
        return info

    def close(self) -> None:
        """Drop what waits for the engine thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _load(self, asked: ModelKey) -> Any:
        if asked not in self.deployed:
            raise ModelUnavailable(f"Model {asked} is not part of this graph.")
        model = self.deployed[asked]
        if model not in self._loaded:
            # Imported here, and with them torch: the application starts without.
            from pipelines.checkpoints import locate
            from pipelines.device import cuda_is_available

            device = "cuda:0" if cuda_is_available() else "cpu"
            is_diarization = model is self._settings.diarization
            load: Callable[..., Any] = load_diarizer if is_diarization else partial(load_pipeline, model)
            try:
                checkpoint = locate(model, self._settings.checkpoint(model))
                self._loaded[model] = load(checkpoint, device, self._settings.engine(model))
            except CheckpointError as error:
                raise ModelUnavailable(f"Model {model} is not loaded: {error.detail}") from error
        return self._loaded[model]


@dataclass(frozen=True)
class HeardOnce:
    """A recording in which speech is looked for once, however many questions are asked about it."""

    waveform: Waveform
    speech_s: Callable[[], Coroutine[Any, Any, float | None]]


class LocalAnalyzer(Questions[HeardOnce, None]):
    """Implements `deployments.api.service.GraphAnalyzer` with models in this process.

    Its methods answer and raise what those of `deployments.ingress.Ingress` do.
    """

    def __init__(self, settings: GraphSettings) -> None:
        self._models = Models(settings)
        super().__init__(settings, self._models)
        self._listener: Listener[Waveform, None] = Listener(self._seconds_of_speech, lambda: self._tunables)
        self.state = LocalState()
        self.gallery = None if settings.state is None else LocalGallery.open(settings.state)
        self.max_requests = self._tunables.max_requests
        self.max_running_jobs = self._tunables.max_running_jobs

    def deadline_s(self, diarizes: bool) -> float:
        """Return infinity: the caller waits for their own recordings."""
        return math.inf

    def close(self) -> None:
        """Drop all questions that wait for a model."""
        self._models.close()
        if self.gallery is not None:
            self.gallery.close()

    async def health(self) -> GraphHealth:
        """Return what every model has loaded; this loads those that were not asked before."""
        health = GraphHealth()
        for key in self._models.deployed:
            try:
                health.models[key] = await self._models.get(key)
            except ModelUnavailable as error:
                health.failed[key] = error.detail
        health.memory_mb = psutil.Process().memory_info().rss / 1e6
        return health

    async def info(self, model: ModelKey) -> ModelInfo:
        """Return what a model has loaded."""
        return await self._models.get(model)

    async def _turns(
        self,
        clip: HeardOnce,
        deadline: None,
        speakers: SpeakerCount,
        on_progress: OnProgress = lambda _: None,
    ) -> DiarizationResult:
        """Diarize a recording; stop at the next window if the caller goes."""
        loop, is_unwanted = asyncio.get_running_loop(), threading.Event()

        def progress(done: int, windows: int) -> None:
            if is_unwanted.is_set():
                raise DeadlineExceeded("Nobody waits for the answer any more.")
            loop.call_soon_threadsafe(on_progress, MAX_REPORTS * done // windows)

        try:
            result: DiarizationResult = await self._models.run(
                self.diarization_model, lambda diarizer: diarizer(clip.waveform, speakers, progress)
            )
        finally:
            is_unwanted.set()
        return result

    def _diarization_parts(self, samples: int) -> int:
        return MAX_REPORTS

    async def _scores(
        self, clip: HeardOnce, deadline: None, spans: Spans, on_progress: OnProgress
    ) -> list[DeepfakeScore]:
        scores: list[DeepfakeScore] = []
        for start, end in spans:
            scores.append(await self._run(ModelKey.DEEPFAKE, clip.waveform[start:end]))
            on_progress(len(scores))
        return scores

    async def _ask(self, model: ModelKey, clip: HeardOnce, deadline: None) -> Any:
        return await self._run(model, clip.waveform)

    async def _run(self, model: ModelKey, waveform: Waveform) -> Any:
        def answer(pipeline: Any) -> Any:
            check_length(len(waveform), pipeline.min_samples, model)
            return pipeline([waveform])[0]

        return await self._models.run(model, answer)

    async def _cached(
        self,
        question: str,
        models: Sequence[ModelKey],
        clip: HeardOnce,
        deadline: None,
        compute: Callable[[HeardOnce, None], Awaitable[Any]],
        *options: object,
    ) -> Any:
        """Compute an answer; nothing is kept but the seconds of speech, for the recording's next question."""
        found = await compute(clip, None)
        return found if self._finds_speech(models) else found.heard(await clip.speech_s())

    def _deadline_of(self, models: Sequence[ModelKey]) -> None:
        return None

    async def _accept(self, question: str, waveform: Waveform) -> HeardOnce:
        valid = await self._validated(waveform)
        return HeardOnce(valid, once(lambda: self._listener.speech_s(valid, valid, None)))

    async def _seconds_of_speech(self, waveform: Waveform, spans: Spans, _deadline: None) -> list[float]:
        def listen(diarizer: Any) -> list[float]:
            return [diarizer.speech_seconds(waveform[start:end]) for start, end in spans]

        return await self._models.run(self.diarization_model, listen)


@contextmanager
def serving(settings: GraphSettings) -> Iterator[Path]:
    """Serve the HTTP application on a socket in a folder of this user alone; yield the path of the socket."""
    # The recordings are the caller's own, so that processes to kill would only cost their start.
    settings = settings.model_copy(update={"decoders": DecoderSettings(processes=0)})
    analyzer = LocalAnalyzer(settings)
    app = create_app(analyzer, settings)
    with tempfile.TemporaryDirectory(prefix="voxgraph-") as folder:
        socket = Path(folder) / "local.sock"
        server = uvicorn.Server(uvicorn.Config(app, uds=str(socket), log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, name="voxgraph-http", daemon=True)
        thread.start()
        deadline = time.monotonic() + START_LIMIT_S
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise ModelUnavailable("The application did not start in this process.")
            time.sleep(0.01)
        try:
            yield socket
        finally:
            # Requests in progress belong to a caller who has gone.
            server.should_exit = server.force_exit = True
            analyzer.close()
            thread.join(STOP_LIMIT_S)
