"""What is asked of which model, and on what an answer depends, without a cluster."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from config.settings import GraphSettings
from deployments.questions import INLINE_SAMPLES, Questions
from deployments.speech import Spans
from deployments.transport.concurrency import OnProgress
from pipelines import chunking
from voxgraph.errors import InvalidOptions, ModelUnavailable, NoSpeech
from voxgraph.options import TASKS, ChunkOptions, ModelKey, SpeakerCount, Task
from voxgraph.results import (
    AccentResult,
    DeepfakeScore,
    DiarizationResult,
    Embedding,
    LanguageResult,
    ModelInfo,
    TaskAnswer,
    TaskFailure,
    Waveform,
)

WAVEFORM = np.sin(np.arange(32_000, dtype=np.float32) / 20)
SURE = 0.9


@dataclass(frozen=True)
class Recording:
    waveform: Waveform


@dataclass(frozen=True)
class Kept:
    """What an answer was said to depend on."""

    question: str
    models: tuple[ModelKey, ...]
    options: tuple[object, ...]


class Asked(Questions[Recording, None]):
    """Answers by itself, and records what was asked.

    Args:
        korean: How probable Korean is in each recording, in the order of the questions.
        speech_s: Seconds of speech in each.
        is_speech: Whether the language model hears speech.
        failing: Models that do not answer.
    """

    def __init__(
        self,
        *korean: float,
        speech_s: float = 1.5,
        is_speech: bool | None = None,
        failing: Collection[ModelKey] = frozenset(),
    ) -> None:
        super().__init__(GraphSettings(), self)
        self.asked: list[ModelKey] = []
        self.kept: list[Kept] = []
        self._korean = [*korean] or [SURE]
        self._speech_s = speech_s
        self._is_speech = is_speech
        self._failing = failing

    async def get(self, model: ModelKey) -> ModelInfo:
        return ModelInfo(model, "a/b", "abc", "hub", "cpu", 1, ("ko: Korean", "en: English"))

    def _deadline_of(self, models: Sequence[ModelKey]) -> None:
        return None

    async def _accept(self, question: str, waveform: Waveform) -> Recording:
        return Recording(await self._validated(waveform))

    async def _cached(
        self,
        question: str,
        models: Sequence[ModelKey],
        clip: Recording,
        deadline: None,
        compute: Callable[[Recording, None], Awaitable[Any]],
        *options: object,
    ) -> Any:
        self.kept.append(Kept(question, tuple(models), options))
        found = await compute(clip, None)
        if self._finds_speech(models):
            return found
        return found.heard(self._speech_s)

    async def _ask(self, model: ModelKey, clip: Recording, deadline: None) -> Any:
        self.asked.append(model)
        if model in self._failing:
            raise ModelUnavailable(f"{model} is away.")
        if model is ModelKey.LANGUAGE:
            korean = self._korean.pop(0) if len(self._korean) > 1 else self._korean[0]
            code = "ko" if korean > 0.5 else "en"
            probabilities = {"ko": korean, "en": 1 - korean}
            return LanguageResult(
                code, code, max(probabilities.values()), probabilities, is_speech=self._is_speech
            )
        if model is ModelKey.ACCENT_XLSR:
            return AccentResult("us", 0.8, 0.8, {"us": 0.8, "england": 0.2})
        return Embedding(np.ones(192, np.float32), model, "abc")

    async def _turns(
        self,
        clip: Recording,
        deadline: None,
        speakers: SpeakerCount,
        on_progress: OnProgress = lambda _: None,
    ) -> DiarizationResult:
        self.asked.append(self.diarization_model)
        return DiarizationResult((), (), ())

    def _diarization_parts(self, samples: int) -> int:
        return 1

    async def _scores(
        self, clip: Recording, deadline: None, spans: Spans, on_progress: OnProgress
    ) -> list[DeepfakeScore]:
        self.asked.append(ModelKey.DEEPFAKE)
        return [DeepfakeScore(0.1, 0.9) for _ in spans]


async def test_two_voices_are_embedded_by_the_encoder_of_the_surest_language() -> None:
    questions = Asked(0.4, 0.95)

    first, second = await questions.embed_pair(WAVEFORM, WAVEFORM)

    assert questions.asked == [ModelKey.LANGUAGE] * 2 + [ModelKey.SPEAKER_CNCELEB] * 2
    assert first.language is not None
    assert first.language.language == "en"
    assert first.embedding.model == second.embedding.model


async def test_two_voices_with_a_named_encoder_need_no_language() -> None:
    questions = Asked()

    first, second = await questions.embed_pair(WAVEFORM, WAVEFORM, ModelKey.SPEAKER_VOXCELEB)

    assert questions.asked == [ModelKey.SPEAKER_VOXCELEB] * 2
    assert (first.language, second.language) == (None, None)


async def test_all_tasks_detect_the_language_once() -> None:
    questions = Asked()

    await questions.analyze(WAVEFORM)

    assert sorted(questions.asked) == sorted(
        [
            ModelKey.LANGUAGE, ModelKey.SPEAKER_CNCELEB, ModelKey.ACCENT_XLSR, ModelKey.DEEPFAKE,
            questions.diarization_model,
        ]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("task", "models"),
    [
        ("language", [ModelKey.LANGUAGE]),
        ("speaker", [ModelKey.LANGUAGE, ModelKey.SPEAKER_CNCELEB]),
        ("accent", [ModelKey.ACCENT_XLSR]),
        ("diarization", [GraphSettings().diarization]),
        ("deepfake", [ModelKey.DEEPFAKE]),
    ],
)
async def test_a_task_asks_its_own_models_and_says_on_which_it_depends(
    task: Task, models: list[ModelKey]
) -> None:
    questions = Asked()

    await questions.analyze(WAVEFORM, (task,))

    assert questions.asked == models
    (kept,) = questions.kept
    assert set(models) <= set(kept.models)


async def test_a_stream_answers_every_task_though_one_model_is_away() -> None:
    questions = Asked(failing={ModelKey.LANGUAGE})

    events = [event async for event in questions.analyze_events(WAVEFORM)]

    assert {event.task for event in events if isinstance(event, TaskFailure)} == {"language", "speaker"}
    assert {event.task for event in events if isinstance(event, TaskAnswer)} == {
        "accent", "diarization", "deepfake",
    }  # fmt: skip


async def test_a_stream_asks_for_the_language_once() -> None:
    questions = Asked()

    answered = [each async for each in questions.analyze_events(WAVEFORM) if isinstance(each, TaskAnswer)]

    assert sorted(each.task for each in answered) == sorted(TASKS)
    assert questions.asked.count(ModelKey.LANGUAGE) == 1


QUESTIONS: dict[str, list[Callable[[Asked], Awaitable[Any]]]] = {
    "languages": [
        lambda asked: asked.embed(WAVEFORM),
        lambda asked: asked.embed(WAVEFORM, languages=("ko",)),
        lambda asked: asked.embed(WAVEFORM, languages=("en", "ko")),
    ],
    "encoder": [
        lambda asked: asked.embed(WAVEFORM),
        lambda asked: asked.embed(WAVEFORM, ModelKey.SPEAKER_CNCELEB),
        lambda asked: asked.embed(WAVEFORM, ModelKey.SPEAKER_VOXCELEB),
    ],
    "speakers": [
        lambda asked: asked.diarize(WAVEFORM),
        lambda asked: asked.diarize(WAVEFORM, SpeakerCount(num_speakers=2)),
        lambda asked: asked.diarize(WAVEFORM, SpeakerCount(max_speakers=2)),
    ],
    "chunks": [
        lambda asked: asked.detect_deepfake(WAVEFORM),
        lambda asked: asked.detect_deepfake(WAVEFORM, ChunkOptions(chunk_s=3.0)),
    ],
    "tasks": [
        lambda asked: asked.analyze(WAVEFORM),
        lambda asked: asked.analyze(WAVEFORM, ("language", "accent")),
        lambda asked: asked.analyze(WAVEFORM, speakers=SpeakerCount(num_speakers=2)),
        lambda asked: asked.analyze(WAVEFORM, options=ChunkOptions(chunk_s=3.0)),
        lambda asked: asked.analyze(WAVEFORM, encoder=ModelKey.SPEAKER_CNCELEB),
        lambda asked: asked.analyze(WAVEFORM, languages=("ko",)),
    ],
}


@pytest.mark.parametrize("option", QUESTIONS)
async def test_an_option_that_changes_the_answer_is_among_what_it_depends_on(option: str) -> None:
    asked = [Asked() for _ in QUESTIONS[option]]

    for questions, ask in zip(asked, QUESTIONS[option], strict=True):
        await ask(questions)

    kept = [questions.kept[0] for questions in asked]
    assert len({repr(each) for each in kept}) == len(kept)


async def test_the_order_of_allowed_languages_is_no_difference() -> None:
    questions = Asked()

    await questions.embed(WAVEFORM, languages=("en", "ko"))
    await questions.embed(WAVEFORM, languages=("ko", "en", "ko"))

    assert questions.kept[0] == questions.kept[1]


@pytest.mark.parametrize(("speech_s", "warns"), [(1.5, True), (4.0, False)])
async def test_every_answer_with_a_language_warns_of_too_little_speech(speech_s: float, warns: bool) -> None:
    asked = Asked(speech_s=speech_s)
    pair = await asked.embed_pair(WAVEFORM, WAVEFORM)
    events = [event async for event in asked.analyze_events(WAVEFORM, tasks=("language", "speaker"))]
    streamed = {event.task: event.result for event in events if isinstance(event, TaskAnswer)}
    languages = [
        await asked.detect_language(WAVEFORM), (await asked.embed(WAVEFORM)).language,
        *(voice.language for voice in pair), (await asked.analyze(WAVEFORM)).language,
        streamed["language"], streamed["speaker"].language,
    ]  # fmt: skip

    assert [(found.warning is not None) for found in languages] == [warns] * 7


async def test_a_question_about_the_voice_of_nobody_is_refused_unless_allowed() -> None:
    with pytest.raises(NoSpeech):
        await Asked(speech_s=0.0).identify_accent(WAVEFORM)

    assert (await Asked(speech_s=0.0).identify_accent(WAVEFORM, allow_no_speech=True)).accent == "us"


@pytest.mark.parametrize("is_speech", [None, False, True])
async def test_speech_that_only_the_language_model_hears_is_speech(is_speech: bool | None) -> None:
    """The segmentation finds none in some loud words; see `LanguageResult.heard`."""
    asked = Asked(speech_s=0.0, is_speech=is_speech)
    answers = (
        asked.detect_language(WAVEFORM), asked.embed(WAVEFORM), asked.analyze(WAVEFORM),
        asked.analyze(WAVEFORM, tasks=("speaker", "accent")), asked.embed_pair(WAVEFORM, WAVEFORM),
    )  # fmt: skip

    found = await asyncio.gather(*answers, return_exceptions=True)

    assert [isinstance(answer, NoSpeech) for answer in found] == [not is_speech] * len(found)


@pytest.mark.parametrize(("samples", "is_in_a_thread"), [(INLINE_SAMPLES, False), (INLINE_SAMPLES + 1, True)])
async def test_a_long_recording_is_validated_in_a_thread(
    samples: int, is_in_a_thread: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = list[threading.Thread]()

    def validate(waveform: Waveform, _settings: GraphSettings) -> Waveform:
        threads.append(threading.current_thread())
        return waveform

    monkeypatch.setattr("deployments.questions.validate_waveform", validate)

    await Asked().detect_language(np.zeros(samples, np.float32))

    assert [thread is threading.main_thread() for thread in threads] == [not is_in_a_thread]


async def test_too_many_chunks_are_refused_at_once_and_only_by_what_has_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chunking, "MAX_CHUNKS", 3)
    options = ChunkOptions(1.0, 0.9)
    asked = Asked()
    with pytest.raises(InvalidOptions, match="more than 3 of them"):
        await asked.detect_deepfake(WAVEFORM, options)
    with pytest.raises(InvalidOptions):
        await asked.analyze(WAVEFORM, ("deepfake",), options=options)
    with pytest.raises(InvalidOptions):
        await anext(asked.analyze_events(WAVEFORM, options=options))

    assert asked.asked == []
    events = [event async for event in asked.analyze_events(WAVEFORM, ("language",), options=options)]
    assert [type(event) for event in events][-1] is TaskAnswer
