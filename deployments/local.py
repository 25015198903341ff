"""The graph in one process, without Ray: ``voxgraph ... --local`` answers with it.

The same HTTP application, pipelines and decisions as those of the graph; a model is loaded when it is first
asked. One recording is answered at a time.
"""

import asyncio
import math
import tempfile
import threading
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import psutil
import uvicorn

from config.settings import DecoderSettings, GraphSettings, IngressTunables
from deployments.api.app import create_app
from deployments.channels import ONE_SPEAKER, diarize_each
from deployments.deepfake import conclude
from deployments.events import MAX_REPORTS, Answer, once, run_tasks
from deployments.loading import ACCENT_MODELS, deployed_models, load_diarizer, load_pipeline
from deployments.speech import Heard, Listener, Spans, require_speech, with_speech
from deployments.state.local_gallery import LocalGallery
from deployments.state.local_state import LocalState
from deployments.transport.concurrency import OnProgress
from deployments.transport.validation import check_length, validate_waveform
from deployments.voices import Languages, Voices, allow_list, check_encoder, check_tasks
from pipelines.chunking import chunk_spans
from pipelines.routing import common_encoder
from voxgraph.errors import CheckpointError, DeadlineExceeded, ModelUnavailable
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


class LocalAnalyzer:
    """Implements `deployments.api.service.GraphAnalyzer` with models in this process.

    Its methods answer and raise what those of `deployments.ingress.Ingress` do.
    """

    def __init__(self, settings: GraphSettings) -> None:
        self._settings = settings
        self._models = Models(settings)
        self._tunables = IngressTunables()
        self._voices: Voices[Waveform, None] = Voices(self._ask, self._models, lambda: self._tunables)
        self._listener: Listener[Waveform, None] = Listener(self._seconds_of_speech, lambda: self._tunables)
        self.state = LocalState()
        self.gallery = None if settings.state is None else LocalGallery.open(settings.state)
        self.diarization_model = settings.diarization
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

    async def detect_language(
        self, waveform: Waveform, languages: Languages = (), allow_no_speech: bool = False
    ) -> LanguageResult:
        """Detect which language is spoken, among all or among the given ones."""
        clip = self._accept(waveform)
        found = self._voices.language(clip, None, allow_list(languages))
        return await self._with_speech(clip, found, allow_no_speech)

    async def embed(
        self,
        waveform: Waveform,
        encoder: ModelKey | None = None,
        languages: Languages = (),
        allow_no_speech: bool = False,
    ) -> SpeakerResult:
        """Embed the voice; the language, among the given ones, decides the encoder unless one is named."""
        check_encoder(encoder)
        clip = self._accept(waveform)
        found = self._voices.voice(clip, None, encoder, allow_list(languages))
        return await self._with_speech(clip, found, allow_no_speech)

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
        clips = [self._accept(waveform) for waveform in (first, second)]
        found: list[LanguageResult | None] = [None, None]
        if encoder is None:
            known = [await self._voices.language(clip, None, allow_list(languages)) for clip in clips]
            found, encoder = [*known], common_encoder(known, self._tunables.cnceleb_min_probability)
        voices = [
            await self._with_speech(clip, self._voices.voice(clip, None, encoder), allow_no_speech)
            for clip in clips
        ]
        one, other = (
            replace(voice, language=language) for voice, language in zip(voices, found, strict=True)
        )
        return one, other

    async def identify_accent(
        self, waveform: Waveform, model: AccentModel = "xlsr", allow_no_speech: bool = False
    ) -> AccentResult:
        """Identify the accent of spoken English."""
        clip = self._accept(waveform)
        result: AccentResult = await self._with_speech(
            clip, self._ask(ACCENT_MODELS[model], clip), allow_no_speech
        )
        return result

    async def diarize(self, waveform: Waveform, speakers: SpeakerCount = SpeakerCount()) -> DiarizationResult:
        """Find who speaks when."""
        return await self._turns(self._accept(waveform), speakers, lambda _: None)

    async def diarize_channels(self, channels: Sequence[Waveform]) -> DiarizationResult:
        """Find when each channel talks; a channel is one speaker, without what it copies of others."""
        clips = [self._accept(channel) for channel in channels]
        return await diarize_each(clips, self._settings.limits, lambda clip: self.diarize(clip, ONE_SPEAKER))

    async def detect_deepfake(
        self, waveform: Waveform, options: ChunkOptions = ChunkOptions(), allow_no_speech: bool = False
    ) -> DeepfakeVerdict:
        """Detect which overlapping chunks are AI-generated."""
        clip = self._accept(waveform)
        return await self._with_speech(clip, self._verdict(clip, options, lambda _: None), allow_no_speech)

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
        """Answer several questions about one recording in sequence; the language is detected once."""
        check_tasks(tasks)
        check_encoder(encoder)
        clip = self._accept(waveform)
        if set(tasks) == {"diarization"}:
            turns = await self.diarize(clip, speakers)
            return Analysis(diarization=turns, speech_s=turns.speech_s)

        async def analysis() -> Analysis:
            voice = await self._voices.language_and_voice(clip, None, tasks, encoder, allow_list(languages))
            return Analysis(
                **voice,
                accent=await self._ask(ACCENT_MODELS["xlsr"], clip) if "accent" in tasks else None,
                diarization=await self.diarize(clip, speakers) if "diarization" in tasks else None,
                deepfake=await self._verdict(clip, options, lambda _: None) if "deepfake" in tasks else None,
            )

        return await self._with_speech(clip, analysis(), allow_no_speech)

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
        """Answer several questions, each as soon as its answer is there, and the progress of long ones."""
        check_tasks(tasks)
        check_encoder(encoder)
        clip, allowed = self._accept(waveform), allow_list(languages)
        # If the model cannot be loaded, the tasks that need it fail by themselves.
        with suppress(ModelUnavailable):
            await self._voices.check_languages(allowed)
        audio_s = len(clip) / SAMPLE_RATE_HZ
        yield Received(round(audio_s, 3))
        language = once(lambda: self._voices.language(clip, None, allowed))
        speech = once(lambda: self._listener.speech_s(clip, clip, None))

        async def voice() -> SpeakerResult:
            if encoder is None:
                return await self._voices.voice_in(await language(), clip, None)
            return await self._voices.voice(clip, None, encoder)

        async def spoken(answer: Coroutine[Any, Any, Heard]) -> Heard:
            return require_speech(with_speech(await answer, await speech()), allow_no_speech)

        answers: dict[Task, Answer] = {
            "language": lambda _: spoken(language()),
            "speaker": lambda _: spoken(voice()),
            "accent": lambda _: spoken(self._ask(ACCENT_MODELS["xlsr"], clip)),
            "diarization": lambda report: self._turns(clip, speakers, report),
            "deepfake": lambda report: spoken(self._verdict(clip, options, report)),
        }
        parts: dict[Task, int] = {
            "diarization": MAX_REPORTS, "deepfake": len(chunk_spans(len(clip), options)),
        }  # fmt: skip
        requested = {task: answers[task] for task in TASKS if task in tasks}
        async with aclosing(run_tasks(requested, parts, audio_s)) as events:
            async for event in events:
                yield event

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

    async def _turns(self, clip: Waveform, speakers: SpeakerCount, report: OnProgress) -> DiarizationResult:
        """Diarize a recording; stop at the next window if the caller goes."""
        loop, is_unwanted = asyncio.get_running_loop(), threading.Event()

        def progress(done: int, windows: int) -> None:
            if is_unwanted.is_set():
                raise DeadlineExceeded("Nobody waits for the answer any more.")
            loop.call_soon_threadsafe(report, MAX_REPORTS * done // windows)

        try:
            result: DiarizationResult = await self._models.run(
                self.diarization_model, lambda diarizer: diarizer(clip, speakers, progress)
            )
        finally:
            is_unwanted.set()
        return result

    async def _verdict(self, clip: Waveform, options: ChunkOptions, report: OnProgress) -> DeepfakeVerdict:
        spans, scores = chunk_spans(len(clip), options), []
        for start, end in spans:
            scores.append(await self._ask(ModelKey.DEEPFAKE, clip[start:end]))
            report(len(scores))
        return conclude(spans, scores, options, self._settings)

    async def _with_speech(
        self, clip: Waveform, answer: Coroutine[Any, Any, Heard], allow_no_speech: bool
    ) -> Heard:
        """Add the seconds of speech to a result, or raise `NoSpeech` as `require_speech` does."""
        found = await answer
        speech_s = await self._listener.speech_s(clip, clip, None)
        return require_speech(with_speech(found, speech_s), allow_no_speech)

    async def _seconds_of_speech(self, clip: Waveform, spans: Spans, _deadline: None) -> list[float]:
        def listen(diarizer: Any) -> list[float]:
            return [diarizer.speech_seconds(clip[start:end]) for start, end in spans]

        return await self._models.run(self.diarization_model, listen)

    async def _ask(self, model: ModelKey, clip: Waveform, _deadline: None = None) -> Any:
        def answer(pipeline: Any) -> Any:
            check_length(len(clip), pipeline.min_samples, model)
            return pipeline([clip])[0]

        return await self._models.run(model, answer)

    def _accept(self, waveform: Waveform) -> Waveform:
        return validate_waveform(waveform, self._settings)


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
