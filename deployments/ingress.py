"""The ingress: the one deployment that HTTP and Python callers talk to; it composes the models.

HTTP comes in through `deployments.api.app`; each question goes on to `deployments.replica` by handle.
"""

from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import ray
from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from config.settings import ChunkOptions, GraphSettings, IngressTunables, ModelKey, SpeakerCount
from deployments.api.analyzer import TASKS, AccentModel, Analysis, GraphHealth, SpeakerResult, Task
from deployments.api.app import create_app
from deployments.calls import Deadline, call, call_all, side_by_side
from pipelines.audio import SAMPLE_RATE_HZ
from pipelines.chunking import spans
from pipelines.errors import (
    AudioTooLong,
    AudioTooShort,
    InvalidAudio,
    InvalidOptions,
    NonFiniteAudio,
    VoxError,
)
from pipelines.results import (
    AccentResult,
    DeepfakeChunk,
    DiarizationResult,
    LanguageResult,
    ModelInfo,
    Waveform,
)
from pipelines.routing import encoder_for

Models = dict[ModelKey, DeploymentHandle]

ACCENT_MODELS: dict[AccentModel, ModelKey] = {
    "xlsr": ModelKey.ACCENT_XLSR,
    "ecapa": ModelKey.ACCENT_ECAPA,
}
HEALTH_DEADLINE_S = 5.0


@serve.ingress()
class Ingress:
    """The `Analyzer` of the graph: every question as a method, by handle or over HTTP.

    Waveforms are float32, shape (samples,), mono, 16 kHz. Every method raises `InvalidAudio` for an
    array that is not, `DeadlineExceeded` past the deadline of `IngressTunables`, `Overloaded` when a
    model's queue is full, and `ModelUnavailable` when a model is not there.
    """

    def __init__(self, settings: GraphSettings, models: Models) -> None:
        self._settings = settings
        self._tunables = IngressTunables()
        self._models = models

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The HTTP application; Serve calls this once the constructor is done."""
        return create_app(self, self._settings)

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take new tunables from `user_config`; requests under way keep theirs."""
        self._tunables = IngressTunables.model_validate(user_config)

    async def detect_language(self, waveform: Waveform) -> LanguageResult:
        """Which language is spoken."""
        return await self._language(self._shared(waveform), self._deadline())

    async def embed(self, waveform: Waveform) -> SpeakerResult:
        """The voice as a vector; the language decides the encoder."""
        clip, deadline = self._shared(waveform), self._deadline()
        return await self._voice(clip, await self._language(clip, deadline), deadline)

    async def identify_accent(self, waveform: Waveform, model: AccentModel = "xlsr") -> AccentResult:
        """Which accent of English is heard."""
        return await self._accent(self._shared(waveform), model, self._deadline())

    async def diarize(self, waveform: Waveform, speakers: SpeakerCount = SpeakerCount()) -> DiarizationResult:
        """Who speaks when."""
        return await self._turns(self._shared(waveform), speakers, self._diarization_deadline())

    async def detect_deepfake(
        self, waveform: Waveform, options: ChunkOptions = ChunkOptions()
    ) -> tuple[DeepfakeChunk, ...]:
        """The scores of overlapping chunks, in order, fanned out to all replicas of the detector."""
        return await self._chunks(self._checked(waveform), options, self._deadline())

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
        clip = self._shared(waveform)
        deadline = self._diarization_deadline() if "diarization" in tasks else self._deadline()
        questions: dict[Task, Callable[[], Coroutine[Any, Any, Any]]] = {
            "accent": lambda: self._accent(clip, "xlsr", deadline),
            "diarization": lambda: self._turns(clip, speakers, deadline),
            "deepfake": lambda: self._chunks(waveform, options, deadline),
        }
        asked: list[Task] = [task for task in questions if task in tasks]
        voice, *answers = await side_by_side(
            self._language_and_voice(clip, tasks, deadline), *(questions[task]() for task in asked)
        )
        return Analysis(**voice, **dict(zip(asked, answers, strict=True)))

    async def health(self) -> GraphHealth:
        """Which models answer, where they run and which checkpoints they have."""
        deadline = Deadline.after(HEALTH_DEADLINE_S)
        health = GraphHealth()

        async def ask(key: ModelKey) -> None:
            try:
                info: ModelInfo = await call(lambda: self._models[key].info.remote(), deadline)
            except VoxError as error:
                health.failed[key] = error.detail
            else:
                health.models[key] = info

        await side_by_side(*(ask(key) for key in self._models))
        return health

    async def _language(self, clip: "ray.ObjectRef[Waveform]", deadline: Deadline) -> LanguageResult:
        result: LanguageResult = await self._ask(ModelKey.LANGUAGE, clip, deadline)
        return result

    async def _voice(
        self, clip: "ray.ObjectRef[Waveform]", language: LanguageResult, deadline: Deadline
    ) -> SpeakerResult:
        embedding = await self._ask(encoder_for(language.language), clip, deadline)
        return SpeakerResult(embedding, language)

    async def _language_and_voice(
        self, clip: "ray.ObjectRef[Waveform]", tasks: tuple[Task, ...], deadline: Deadline
    ) -> dict[str, Any]:
        """The answers to language and speaker, as far as they are asked for; the second needs the first."""
        if not {"language", "speaker"} & set(tasks):
            return {}
        language = await self._language(clip, deadline)
        answers: dict[str, Any] = {"language": language} if "language" in tasks else {}
        if "speaker" in tasks:
            answers["speaker"] = await self._voice(clip, language, deadline)
        return answers

    async def _accent(
        self, clip: "ray.ObjectRef[Waveform]", model: AccentModel, deadline: Deadline
    ) -> AccentResult:
        result: AccentResult = await self._ask(ACCENT_MODELS[model], clip, deadline)
        return result

    async def _turns(
        self, clip: "ray.ObjectRef[Waveform]", speakers: SpeakerCount, deadline: Deadline
    ) -> DiarizationResult:
        handle = self._models[self._settings.diarization]
        result: DiarizationResult = await call(lambda: handle.diarize.remote(clip, speakers), deadline)
        return result

    async def _chunks(
        self, waveform: Waveform, options: ChunkOptions, deadline: Deadline
    ) -> tuple[DeepfakeChunk, ...]:
        chunk = round(options.chunk_s * SAMPLE_RATE_HZ)
        hop = max(1, round(chunk * (1 - options.overlap)))
        cuts = spans(len(waveform), chunk, hop)
        handle = self._models[ModelKey.DEEPFAKE]
        starts = [lambda s=start, e=end: handle.answer.remote(waveform[s:e]) for start, end in cuts]
        scores = await call_all(starts, deadline, self._tunables.chunk_window)
        return tuple(
            DeepfakeChunk(index, start / SAMPLE_RATE_HZ, end / SAMPLE_RATE_HZ, score)
            for index, ((start, end), score) in enumerate(zip(cuts, scores, strict=True))
        )

    async def _ask(self, model: ModelKey, clip: "ray.ObjectRef[Waveform]", deadline: Deadline) -> Any:
        return await call(lambda: self._models[model].answer.remote(clip), deadline)

    def _shared(self, waveform: Waveform) -> "ray.ObjectRef[Waveform]":
        """The recording in the object store: one copy for all models that read it."""
        return ray.put(self._checked(waveform))

    def _checked(self, waveform: Waveform) -> Waveform:
        """The recording as it came, once it is what the models expect: Python callers are not decoded."""
        return checked(waveform, self._settings)

    def _deadline(self) -> Deadline:
        return Deadline.after(self._tunables.deadline_s)

    def _diarization_deadline(self) -> Deadline:
        return Deadline.after(self._tunables.diarization_deadline_s)


def checked(waveform: Waveform, settings: GraphSettings) -> Waveform:
    """Return a recording that the models can take, unchanged.

    Raises:
        InvalidAudio: Not a one-dimensional float32 array.
        AudioTooShort: Below `AudioLimits.min_audio_s`.
        AudioTooLong: Above `AudioLimits.max_audio_s`.
        NonFiniteAudio: NaN or infinite samples.
    """
    if not isinstance(waveform, np.ndarray) or waveform.ndim != 1 or waveform.dtype != np.float32:
        raise InvalidAudio("A waveform is a one-dimensional float32 array of 16 kHz mono samples.")
    seconds, limits = len(waveform) / SAMPLE_RATE_HZ, settings.limits
    if seconds < limits.min_audio_s:
        raise AudioTooShort(f"{seconds:.3f} s of audio; at least {limits.min_audio_s:g} s are needed.")
    if seconds > limits.max_audio_s:
        raise AudioTooLong(f"{seconds:.0f} s of audio; at most {limits.max_audio_s:g} s are taken.")
    if not np.isfinite(waveform).all():
        raise NonFiniteAudio("The samples contain NaN or infinite values.")
    return waveform
