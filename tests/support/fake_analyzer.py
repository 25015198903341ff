"""An analyzer with fixed answers, for tests of the HTTP application and of its clients without models."""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace

import numpy as np

from config.checkpoints import CHECKPOINTS
from deployments.galleries import GalleryStore
from deployments.speech import Heard, require_speech
from deployments.state.local_state import LocalState
from deployments.voices import check_tasks
from pipelines.allow_list import allowed_names
from voxgraph.calibration import SpeakerCalibration
from voxgraph.errors import ModelUnavailable, NoSpeech, VoxError
from voxgraph.options import TASKS, AccentModel, ChunkOptions, ModelKey, SpeakerCount, Task
from voxgraph.results import (
    SAMPLE_RATE_HZ,
    AccentResult,
    Analysis,
    AnalysisEvent,
    DeepfakeChunk,
    DeepfakeScore,
    DeepfakeVerdict,
    DiarizationResult,
    Embedding,
    FrameConfidence,
    GraphHealth,
    LanguageResult,
    ModelInfo,
    OperatingPoints,
    Progress,
    Received,
    SpeakerResult,
    TaskAnswer,
    TaskFailure,
    Turn,
    Waveform,
)

LANGUAGE = LanguageResult(
    "ja", "Japanese", 0.75, {"ja": 0.75, "ko": 0.15, "zh": 0.04, "th": 0.03, "vi": 0.02, "en": 0.01}
)
NAMES = {"ja": "Japanese", "ko": "Korean", "zh": "Chinese", "th": "Thai", "vi": "Vietnamese", "en": "English"}
VECTOR = np.linspace(-1, 1, 192).astype(np.float32)
TURNS = (
    Turn(0.5, 2.0, "SPEAKER_00", 0.912),
    Turn(1.75, 1.9, "SPEAKER_01", 0.5),
    Turn(2.5, 3.25, "SPEAKER_01"),
)
EXCLUSIVE_TURNS = (TURNS[0], TURNS[2])


class FakeAnalyzer:
    """Returns fixed results, records its arguments, and raises `error` instead if it is set.

    Of the events of an analysis, `failures` are the errors of single tasks.
    """

    def __init__(self) -> None:
        self.state = LocalState()
        self.gallery: GalleryStore | None = None
        self.max_requests = 128
        self.deadline = 60.0
        self.max_running_jobs = 2
        self.diarization_model = ModelKey.DIARIZATION_COMMUNITY_1
        self.error: BaseException | None = None
        self.failures: dict[Task, VoxError] = {}
        self.speech_s: float | None = None
        self.unavailable: set[ModelKey] = set()
        self.encoder: ModelKey | None = None
        self.revision = "abc"
        self.voice_of: Callable[[Waveform], np.ndarray] = lambda _: VECTOR
        self.pair: tuple[Waveform, Waveform] | None = None
        self.waveform: Waveform | None = None
        self.speakers: SpeakerCount | None = None
        self.options: ChunkOptions | None = None
        self.channels: Sequence[Waveform] = ()
        self.tasks: tuple[Task, ...] | None = None
        self.accent = AccentResult("us", 0.85671, 0.85671, {"us": 0.85671, "canada": 0.14329})
        self.scores = (0.9, 0.2, 0.7)
        self.points = OperatingPoints()
        self.advice: str | None = None
        self.calibration: SpeakerCalibration | None = None
        self.language = LANGUAGE
        self.languages: tuple[str, ...] = ()
        self.graph_health = GraphHealth(
            models={"language": ModelInfo("language", "a/b", "abc", "hub", "cpu", 7)}
        )

    def _heard(self, result: Heard, allow_no_speech: bool) -> Heard:
        return require_speech(result.heard(self.speech_s), allow_no_speech)

    def _record(self, waveform: Waveform) -> None:
        if self.error is not None:
            raise self.error
        self.waveform = waveform

    def deadline_s(self, diarizes: bool) -> float:
        return 30 * self.deadline if diarizes else self.deadline

    async def detect_language(
        self, waveform: Waveform, languages: tuple[str, ...] = (), allow_no_speech: bool = False
    ) -> LanguageResult:
        self._record(waveform)
        if languages:
            self.languages = languages
            return self._heard(self.language.among(allowed_names(languages, NAMES)), allow_no_speech)
        return self._heard(self.language, allow_no_speech)

    async def embed(
        self,
        waveform: Waveform,
        encoder: ModelKey | None = None,
        languages: tuple[str, ...] = (),
        allow_no_speech: bool = False,
    ) -> SpeakerResult:
        self._record(waveform)
        self.encoder = encoder
        language = None
        if encoder is None:
            language = await self.detect_language(waveform, languages, allow_no_speech)
        hub_id = CHECKPOINTS[encoder or ModelKey.SPEAKER_CNCELEB].hub_id
        embedding = Embedding(self.voice_of(waveform), hub_id, self.revision)
        return self._heard(SpeakerResult(embedding, language), allow_no_speech)

    async def embed_pair(
        self,
        first: Waveform,
        second: Waveform,
        encoder: ModelKey | None = None,
        languages: tuple[str, ...] = (),
        allow_no_speech: bool = False,
    ) -> tuple[SpeakerResult, SpeakerResult]:
        self.pair = (first, second)
        one = await self.embed(first, encoder, languages, allow_no_speech)
        return one, await self.embed(second, encoder, languages, allow_no_speech)

    async def info(self, model: ModelKey) -> ModelInfo:
        if model in self.unavailable:
            raise ModelUnavailable(f"Model {model} is not loaded: no checkpoint.")
        labels = ("fake", "real") if model is ModelKey.DEEPFAKE else ()
        info = ModelInfo(model, CHECKPOINTS[model].hub_id, self.revision, "hub", "cpu", 7, labels)
        return replace(info, same_speaker=self.calibration)

    async def identify_accent(
        self, waveform: Waveform, model: AccentModel = "xlsr", allow_no_speech: bool = False
    ) -> AccentResult:
        self._record(waveform)
        return self._heard(self.accent, allow_no_speech)

    async def diarize(self, waveform: Waveform, speakers: SpeakerCount = SpeakerCount()) -> DiarizationResult:
        self._record(waveform)
        self.speakers = speakers
        speakers_found = ("SPEAKER_00", "SPEAKER_01")
        voices = {speaker: Embedding(VECTOR, "some/encoder", "abc") for speaker in speakers_found}
        frames = {speaker: np.array([0, 128, 255], np.uint8) for speaker in voices}
        found = DiarizationResult(
            TURNS,
            EXCLUSIVE_TURNS,
            speakers_found,
            embeddings=voices,
            frames=FrameConfidence.pack(0.031, 0.017, frames),
        )
        return found.with_request(speakers.least, most_at_once=2, windows=1)

    async def diarize_channels(self, channels: Sequence[Waveform]) -> DiarizationResult:
        self._record(channels[0])
        self.channels = channels
        found = await self.diarize(channels[0], SpeakerCount(num_speakers=1))
        return DiarizationResult.of_channels([found] * len(channels))

    async def detect_deepfake(
        self, waveform: Waveform, options: ChunkOptions = ChunkOptions(), allow_no_speech: bool = False
    ) -> DeepfakeVerdict:
        self._record(waveform)
        self.options = options
        chunks = [
            DeepfakeChunk(index, 2.5 * index, 2.5 * index + 5, DeepfakeScore(score, 1 - score, self.points))
            for index, score in enumerate(self.scores)
        ]
        return self._heard(DeepfakeVerdict.from_chunks(chunks, options, self.advice), allow_no_speech)

    async def analyze(
        self,
        waveform: Waveform,
        tasks: tuple[Task, ...] = TASKS,
        speakers: SpeakerCount = SpeakerCount(),
        options: ChunkOptions = ChunkOptions(),
        encoder: ModelKey | None = None,
        languages: tuple[str, ...] = (),
        allow_no_speech: bool = False,
    ) -> Analysis:
        check_tasks(tasks)
        self.tasks = tasks
        allow = allow_no_speech
        found = Analysis(
            language=await self.detect_language(waveform, languages, allow) if "language" in tasks else None,
            speaker=await self.embed(waveform, encoder, languages, allow) if "speaker" in tasks else None,
            accent=await self.identify_accent(waveform, "xlsr", allow) if "accent" in tasks else None,
            diarization=await self.diarize(waveform, speakers) if "diarization" in tasks else None,
            deepfake=await self.detect_deepfake(waveform, options, allow) if "deepfake" in tasks else None,
        )
        return found.heard(self.speech_s)

    async def analyze_events(
        self,
        waveform: Waveform,
        tasks: tuple[Task, ...] = TASKS,
        speakers: SpeakerCount = SpeakerCount(),
        options: ChunkOptions = ChunkOptions(),
        encoder: ModelKey | None = None,
        languages: tuple[str, ...] = (),
        allow_no_speech: bool = False,
    ) -> AsyncGenerator[AnalysisEvent]:
        self._record(waveform)
        audio_s = len(waveform) / SAMPLE_RATE_HZ
        yield Received(audio_s)
        for task in (task for task in TASKS if task in tasks):
            yield Progress(task, audio_s / 2, audio_s)
            if task in self.failures:
                yield TaskFailure(task, self.failures[task])
                continue
            asked = speakers, options, encoder, languages, allow_no_speech
            try:
                answers = await self.analyze(waveform, (task,), *asked)
            except NoSpeech as error:
                yield TaskFailure(task, error)
                continue
            yield TaskAnswer(task, getattr(answers, task))
        self.tasks = tasks

    async def health(self) -> GraphHealth:
        return self.graph_health
