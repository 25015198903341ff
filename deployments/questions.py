"""The questions about a recording, composed of what the models answer. No Ray.

`deployments.ingress` asks models in other processes and caches the answers; `deployments.local` runs them in
this process. What is asked of which model, and what becomes of the answers, is here for both.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from config.settings import GraphSettings, IngressTunables
from deployments.channels import ONE_SPEAKER, diarize_each
from deployments.deepfake import conclude
from deployments.events import Answer, once, run_tasks
from deployments.loading import ACCENT_MODELS
from deployments.speech import Spans, require_speech
from deployments.transport.concurrency import OnProgress, gather_or_cancel
from deployments.transport.validation import validate_waveform
from deployments.voices import Infos, Languages, Voices, allow_list, check_encoder, check_tasks
from pipelines.chunking import chunk_spans
from pipelines.routing import ENCODERS, common_encoder
from voxgraph.errors import DeadlineExceeded, ModelUnavailable, Overloaded
from voxgraph.options import TASKS, AccentModel, ChunkOptions, ModelKey, SpeakerCount, Task
from voxgraph.results import (
    SAMPLE_RATE_HZ,
    AccentResult,
    Analysis,
    AnalysisEvent,
    DeepfakeScore,
    DeepfakeVerdict,
    DiarizationResult,
    LanguageResult,
    Received,
    SpeakerResult,
    Waveform,
)


class Accepted(Protocol):
    """A recording that was accepted."""

    @property
    def waveform(self) -> Waveform:
        """Its valid waveform."""
        ...


Clip = TypeVar("Clip", bound=Accepted)
"""A recording, as the models are asked about it."""
Deadline = TypeVar("Deadline")
Result = TypeVar("Result")
INLINE_SAMPLES = 1 << 20
"""Samples up to which a recording is validated on the event loop, in half a millisecond: a minute."""


class Questions(ABC, Generic[Clip, Deadline]):
    """Answers the questions of `voxgraph.analyzer.Analyzer`.

    Waveforms are float32, shape (samples,), mono, 16 kHz. Every method raises `InvalidAudio` for any other
    array, and what the models raise.

    Args:
        settings: Settings of the graph.
        infos: What each model has loaded.
    """

    def __init__(self, settings: GraphSettings, infos: Infos) -> None:
        self._settings = settings
        self._tunables = IngressTunables()
        self._voices: Voices[Clip, Deadline] = Voices(self._ask, infos, lambda: self._tunables)
        self.diarization_model = settings.diarization

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
            require_speech(replace(voice, language=language).heard(voice.speech_s), allow_no_speech)
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
        with suppress(ModelUnavailable, DeadlineExceeded, Overloaded):
            await self._voices.check_languages(allowed)
        samples, audio_s = len(clip.waveform), len(clip.waveform) / SAMPLE_RATE_HZ
        parts: dict[Task, int] = {"diarization": self._diarization_parts(samples)}
        if "deepfake" in tasks:
            parts["deepfake"] = len(chunk_spans(samples, options))
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
        requested = {task: answers[task] for task in TASKS if task in tasks}
        async with aclosing(run_tasks(requested, parts, audio_s)) as events:
            async for event in events:
                yield event

    async def _answer(
        self,
        question: str,
        models: Sequence[ModelKey],
        waveform: Waveform,
        compute: Callable[[Clip, Deadline], Awaitable[Result]],
        *options: object,
    ) -> Result:
        """Accept a recording and answer a question about it, as `_cached` does.

        A question that includes diarization has a deadline of its own.
        """
        deadline = self._deadline_of(models)
        clip = await self._accept(question, waveform)
        return await self._cached(question, models, clip, deadline, compute, *options)

    async def _accent(self, clip: Clip, deadline: Deadline, model: AccentModel) -> AccentResult:
        result: AccentResult = await self._ask(ACCENT_MODELS[model], clip, deadline)
        return result

    async def _verdict(
        self, clip: Clip, deadline: Deadline, options: ChunkOptions, on_progress: OnProgress = lambda _: None
    ) -> DeepfakeVerdict:
        spans = chunk_spans(len(clip.waveform), options)
        scores = await self._scores(clip, deadline, spans, on_progress)
        return conclude(spans, scores, options, self._settings)

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

    async def _validated(self, waveform: Waveform) -> Waveform:
        """Validate a recording, a long one in a thread; raises what `validate_waveform` raises."""
        is_long = isinstance(waveform, np.ndarray) and waveform.size > INLINE_SAMPLES
        if is_long:
            return await asyncio.to_thread(validate_waveform, waveform, self._settings)
        return validate_waveform(waveform, self._settings)

    def _finds_speech(self, models: Sequence[ModelKey]) -> bool:
        """Return whether the answer of these models says by itself how much speech there is."""
        return [*models] == [self.diarization_model]

    @abstractmethod
    def _deadline_of(self, models: Sequence[ModelKey]) -> Deadline:
        """Return the deadline of a question that these models answer."""

    @abstractmethod
    async def _accept(self, question: str, waveform: Waveform) -> Clip:
        """Validate a recording, raising what `validate_waveform` raises."""

    @abstractmethod
    async def _cached(
        self,
        question: str,
        models: Sequence[ModelKey],
        clip: Clip,
        deadline: Deadline,
        compute: Callable[[Clip, Deadline], Awaitable[Result]],
        *options: object,
    ) -> Result:
        """Compute an answer, and beside it how much speech there is, unless `models` find that themselves.

        An implementation may keep the answer; it depends on the recording, `models` and `options`.
        """

    @abstractmethod
    async def _ask(self, model: ModelKey, clip: Clip, deadline: Deadline) -> Any:
        """Return what a model answers about a recording."""

    @abstractmethod
    async def _turns(
        self, clip: Clip, deadline: Deadline, speakers: SpeakerCount, on_progress: OnProgress = lambda _: None
    ) -> DiarizationResult:
        """Diarize a recording; `on_progress` hears of `_diarization_parts` steps at most."""

    @abstractmethod
    def _diarization_parts(self, samples: int) -> int:
        """Return the number of steps that the diarization of a recording reports."""

    @abstractmethod
    async def _scores(
        self, clip: Clip, deadline: Deadline, spans: Spans, on_progress: OnProgress
    ) -> list[DeepfakeScore]:
        """Return the detector's score of each span of a recording."""
