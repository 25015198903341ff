"""What every implementation of `voxgraph.analyzer.Analyzer` promises, whoever answers."""

from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from voxgraph import AsyncClient
from voxgraph.analyzer import Analyzer
from voxgraph.errors import InvalidOptions, ModelUnavailable
from voxgraph.options import TASKS, ChunkOptions, ModelKey, SpeakerCount, Task
from voxgraph.results import (
    SAMPLE_RATE_HZ,
    AccentResult,
    Analysis,
    DeepfakeVerdict,
    DiarizationResult,
    Finding,
    GraphHealth,
    LanguageResult,
    ModelInfo,
    SpeakerResult,
    Waveform,
)

Check = Callable[[Analyzer, Waveform], Awaitable[None]]


class ClientAnalyzer:
    """The HTTP client with the signatures of the protocol. It has no `embed_pair`: `compare` needs none."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def detect_language(self, waveform: Waveform, languages: tuple[str, ...] = ()) -> LanguageResult:
        return await self._client.detect_language((waveform, SAMPLE_RATE_HZ), languages=languages)

    async def embed(
        self, waveform: Waveform, encoder: ModelKey | None = None, languages: tuple[str, ...] = ()
    ) -> SpeakerResult:
        name = None if encoder is None else encoder.removeprefix("speaker_")
        return await self._client.embed((waveform, SAMPLE_RATE_HZ), encoder=name, languages=languages)  # type: ignore[arg-type]

    async def identify_accent(self, waveform: Waveform) -> AccentResult:
        return await self._client.identify_accent((waveform, SAMPLE_RATE_HZ))

    async def diarize(self, waveform: Waveform, speakers: SpeakerCount = SpeakerCount()) -> DiarizationResult:
        return await self._client.diarize((waveform, SAMPLE_RATE_HZ), **_bounds(speakers))

    async def detect_deepfake(
        self, waveform: Waveform, options: ChunkOptions = ChunkOptions()
    ) -> DeepfakeVerdict:
        return await self._client.detect_deepfake(
            (waveform, SAMPLE_RATE_HZ), chunk_duration=options.chunk_s, overlap=options.overlap
        )

    async def analyze(
        self,
        waveform: Waveform,
        tasks: tuple[Task, ...] = TASKS,
        speakers: SpeakerCount = SpeakerCount(),
        options: ChunkOptions = ChunkOptions(),
    ) -> Analysis:
        return await self._client.analyze(
            (waveform, SAMPLE_RATE_HZ),
            tasks=tasks,
            chunk_duration=options.chunk_s,
            overlap=options.overlap,
            **_bounds(speakers),
        )

    async def health(self) -> GraphHealth:
        return await self._client.health()

    async def info(self, model: ModelKey) -> ModelInfo:
        return await self._client.info(model)


def _bounds(speakers: SpeakerCount) -> dict[str, int | None]:
    return {name: getattr(speakers, name) for name in ("num_speakers", "min_speakers", "max_speakers")}


async def the_most_probable_language_is_the_answer(analyzer: Analyzer, clip: Waveform) -> None:
    found = await analyzer.detect_language(clip)

    assert found.name
    assert 0.0 <= found.confidence <= 1.0
    assert sum(found.probabilities.values()) <= 1.0 + 1e-6
    if found.is_known:
        assert max(found.probabilities, key=found.probabilities.__getitem__) == found.language


async def only_allowed_languages_are_answered(analyzer: Analyzer, clip: Waveform) -> None:
    allowed = tuple((await analyzer.detect_language(clip)).probabilities)[-2:]
    found = await analyzer.detect_language(clip, allowed)

    assert set(found.probabilities) == set(allowed)
    assert sum(found.probabilities.values()) == pytest.approx(1.0)
    with pytest.raises(InvalidOptions, match="klingon"):
        await analyzer.detect_language(clip, ("klingon",))


async def a_named_encoder_needs_no_language(analyzer: Analyzer, clip: Waveform) -> None:
    routed, named = await analyzer.embed(clip), await analyzer.embed(clip, ModelKey.SPEAKER_VOXCELEB)

    assert routed.embedding.vector.shape == named.embedding.vector.shape == (192,)
    assert routed.embedding.vector.dtype == np.float32
    assert routed.language is not None
    assert routed.language.language == (await analyzer.detect_language(clip)).language
    assert named.language is None
    assert named.embedding.model
    assert named.embedding.revision


async def an_accent_is_the_most_probable_one(analyzer: Analyzer, clip: Waveform) -> None:
    found = await analyzer.identify_accent(clip)

    assert sum(found.probabilities.values()) == pytest.approx(1.0, abs=1e-4)
    assert found.confidence == max(found.probabilities.values()) == found.probabilities[found.accent]


async def turns_are_sorted_and_those_of_the_speakers(analyzer: Analyzer, clip: Waveform) -> None:
    found = await analyzer.diarize(clip, SpeakerCount(max_speakers=2))

    assert list(found.turns) == sorted(found.turns, key=lambda turn: turn.start_s)
    assert found.speakers == tuple(sorted({turn.speaker for turn in found.turns}))
    assert len(found.speakers) <= 2
    assert all(0.0 <= turn.start_s < turn.end_s for turn in found.turns)


async def a_verdict_follows_from_its_chunks(analyzer: Analyzer, clip: Waveform) -> None:
    options = ChunkOptions(2.0, 0.25)
    found = await analyzer.detect_deepfake(clip, options)

    findings = [chunk.score.verdict for chunk in found.chunks]
    assert found.options == options
    assert findings.count(Finding.AI_GENERATED) == found.ai_generated_chunks
    assert found.is_deepfake == (found.ai_generated_chunks > len(findings) / 2)
    assert [chunk.index for chunk in found.chunks] == list(range(len(findings)))


async def an_analysis_is_the_single_answers(analyzer: Analyzer, clip: Waveform) -> None:
    found = await analyzer.analyze(clip, ("language", "accent", "deepfake"))

    assert found.language == await analyzer.detect_language(clip)
    assert found.accent == await analyzer.identify_accent(clip)
    assert found.deepfake == await analyzer.detect_deepfake(clip)
    assert found.speaker is found.diarization is None


async def wrong_options_are_refused(analyzer: Analyzer, clip: Waveform) -> None:
    with pytest.raises(InvalidOptions):
        await analyzer.analyze(clip, ("karaoke",))  # type: ignore[arg-type]


async def the_health_names_the_models(analyzer: Analyzer, _clip: Waveform) -> None:
    health = await analyzer.health()

    loaded = health.models["language"]
    found = await analyzer.info(ModelKey.LANGUAGE)
    assert (found.key, found.hub_id) == ("language", found.hub_id)
    assert loaded.device == "cpu"
    assert health.failed == {}
    with pytest.raises(ModelUnavailable):
        await analyzer.info(ModelKey.DIARIZATION_31)


CHECKS: list[Check] = [
    the_most_probable_language_is_the_answer,
    only_allowed_languages_are_answered,
    a_named_encoder_needs_no_language,
    an_accent_is_the_most_probable_one,
    turns_are_sorted_and_those_of_the_speakers,
    a_verdict_follows_from_its_chunks,
    an_analysis_is_the_single_answers,
    wrong_options_are_refused,
    the_health_names_the_models,
]
