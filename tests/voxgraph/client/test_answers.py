"""The client reads what the application answers into the records that the application was given."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx2
import numpy as np
import pytest
from fake_analyzer import LANGUAGE, TURNS, VECTOR, FakeAnalyzer

from config.settings import DecoderSettings, GraphSettings
from deployments.api.app import create_app
from voxgraph import AsyncClient, ModelKey, SpeakerCount, errors
from voxgraph.calibration import SpeakerCalibration
from voxgraph.client import answers
from voxgraph.options import ChunkOptions
from voxgraph.results import Embedding, Finding, GraphHealth, ModelInfo, OperatingPoints, StoredVoice
from voxgraph.similarity import compare

CLIP = (np.random.default_rng(1).normal(0, 0.1, 16_000).astype(np.float32), 16_000)
OTHER = (CLIP[0][::-1].copy(), 16_000)


@pytest.fixture
def analyzer() -> FakeAnalyzer:
    return FakeAnalyzer()


@pytest.fixture
async def client(analyzer: FakeAnalyzer) -> AsyncIterator[AsyncClient]:
    settings = GraphSettings(decoders=DecoderSettings(processes=0))
    transport = httpx2.ASGITransport(create_app(analyzer, settings), raise_app_exceptions=False)
    async with AsyncClient("http://voxgraph", transport=transport) as client:
        yield client


async def test_a_language_has_its_most_probable_rivals(client: AsyncClient, analyzer: FakeAnalyzer) -> None:
    analyzer.language = replace(LANGUAGE, calibrated=True, warning="It is short.")

    found = await client.detect_language(CLIP)

    assert found == replace(analyzer.language, probabilities=LANGUAGE.top())
    assert analyzer.waveform is not None
    assert np.array_equal(analyzer.waveform, CLIP[0])


async def test_the_allowed_languages_reach_the_analyzer(client: AsyncClient, analyzer: FakeAnalyzer) -> None:
    found = await client.detect_language(CLIP, languages=("ko", "zh"))

    assert analyzer.languages == ("ko", "zh")
    assert found.language == "ko"


async def test_a_voice_has_its_vector_and_the_language_that_chose_its_encoder(client: AsyncClient) -> None:
    found = await client.embed(CLIP)

    assert np.array_equal(found.embedding.vector, VECTOR)
    assert found.embedding.vector.dtype == np.float32
    assert found.embedding.revision == "abc"
    assert found.language is not None
    assert (found.language.language, found.language.name, found.language.confidence) == (
        "ja", "Japanese", 0.75,
    )  # fmt: skip
    assert (await client.embed(CLIP, encoder="voxceleb")).language is None


@pytest.mark.parametrize("calibration", [None, SpeakerCalibration(20.0, -8.0)])
async def test_a_comparison_is_that_of_the_handles(
    client: AsyncClient, analyzer: FakeAnalyzer, calibration: SpeakerCalibration | None
) -> None:
    analyzer.calibration = calibration
    voices = [found.embedding for found in await analyzer.embed_pair(CLIP[0], OTHER[0])]

    assert await client.compare(CLIP, OTHER) == compare(*voices, None, calibration)
    assert (await client.compare(CLIP, OTHER, threshold=0.0)).threshold == 0.0
    assert analyzer.pair is not None
    assert np.array_equal(analyzer.pair[1], OTHER[0])


async def test_a_recording_is_compared_with_a_stored_voice(
    client: AsyncClient, analyzer: FakeAnalyzer
) -> None:
    stored = (await client.embed(CLIP, encoder="voxceleb")).embedding
    elsewhere = replace(stored, revision="of another checkpoint")

    assert (await client.compare_embedding(CLIP, stored)).similarity == pytest.approx(1.0)
    assert analyzer.encoder is ModelKey.SPEAKER_VOXCELEB
    with pytest.raises(errors.SpaceMismatch):
        await client.compare_embedding(CLIP, elsewhere)


async def test_an_accent_has_every_probability(client: AsyncClient, analyzer: FakeAnalyzer) -> None:
    assert await client.identify_accent(CLIP) == analyzer.accent
    assert analyzer.tasks == ("accent",)


async def test_a_diarization_has_its_turns(client: AsyncClient, analyzer: FakeAnalyzer) -> None:
    found = await client.diarize(CLIP, min_speakers=2, max_speakers=3, min_duration=0.2)

    assert found.turns == (TURNS[0], TURNS[2])
    assert found.speakers == ("SPEAKER_00", "SPEAKER_01")
    assert (found.speakers_requested, found.speakers_note) == (2, None)
    assert (found.embeddings, found.frames) == (None, None)
    assert analyzer.speakers == SpeakerCount(min_speakers=2, max_speakers=3)


async def test_a_diarization_has_the_voices_and_frames_that_were_asked_for(client: AsyncClient) -> None:
    found = await client.diarize(CLIP, exclusive=True, embeddings=True, frames=True)

    assert found.turns == (TURNS[0], TURNS[2])
    assert found.embeddings is not None
    assert found.frames is not None
    voice = found.embeddings["SPEAKER_01"]
    np.testing.assert_allclose(voice.vector, VECTOR, rtol=1e-6)
    assert (voice.model, voice.revision) == ("some/encoder", "abc")
    assert found.frames.values("SPEAKER_01").tolist() == [0, 128, 255]


async def test_a_verdict_has_its_chunks_and_the_points_that_divide_them(
    client: AsyncClient, analyzer: FakeAnalyzer
) -> None:
    analyzer.points, analyzer.advice = OperatingPoints(0.8, 0.3, fitted=True), "Do not trust it."

    found = await client.detect_deepfake(CLIP, chunk_duration=4.0, overlap=0.0)

    assert analyzer.options == ChunkOptions(4.0, 0.0)
    assert found == await analyzer.detect_deepfake(CLIP[0], ChunkOptions(4.0, 0.0))
    assert found.verdict is Finding.INCONCLUSIVE


async def test_an_analysis_has_the_tasks_that_were_asked_for(client: AsyncClient) -> None:
    everything = await client.analyze(CLIP)
    some = await client.analyze(CLIP, tasks=("language", "deepfake"))

    assert everything.language == await client.detect_language(CLIP)
    assert everything.accent == await client.identify_accent(CLIP)
    assert everything.diarization == await client.diarize(CLIP)
    assert some.deepfake == everything.deepfake == await client.detect_deepfake(CLIP)
    assert some.speaker is some.accent is some.diarization is None


async def test_many_recordings_have_answers_and_errors_of_their_own(client: AsyncClient) -> None:
    recordings = [CLIP, b"no recording", OTHER]

    found = {each.index: each async for each in client.analyze_many(recordings, tasks=("language",))}

    assert sorted(found) == [0, 1, 2]
    assert found[0].analysis is not None
    assert found[0].analysis.language == await client.detect_language(CLIP)
    assert isinstance(found[1].error, errors.UnsupportedAudio)
    assert found[1].analysis is found[2].error is None


async def test_the_most_similar_of_many_voices_is_found(client: AsyncClient) -> None:
    def voice(seed: int) -> Embedding:
        vector = np.random.default_rng(seed).normal(size=192).astype(np.float32)
        return Embedding(vector, "some/encoder", "abc")

    gallery = [StoredVoice("first", voice(1)), StoredVoice(2, voice(2), {"name": "Zoë"})]

    best, other = await client.find_match(voice(2), gallery)

    assert (best.id, best.similarity, best.is_match, best.metadata) == (2, 1.0, True, {"name": "Zoë"})
    assert (other.id, other.is_match) == ("first", False)
    assert len(await client.find_match(voice(2), gallery, top_n=1, threshold=0.9)) == 1


async def test_the_health_names_loaded_and_failed_models(client: AsyncClient, analyzer: FakeAnalyzer) -> None:
    model = ModelInfo(
        "speaker_voxceleb", "a/b", "abc", "hub", "cpu", 7, same_speaker=SpeakerCalibration(2, -1)
    )
    analyzer.graph_health = GraphHealth({"speaker_voxceleb": model}, {"deepfake": "no checkpoint."}, 12.5)

    assert await client.health() == analyzer.graph_health
    assert await client.info(ModelKey.SPEAKER_VOXCELEB) == model
    with pytest.raises(errors.ModelUnavailable, match="no checkpoint"):
        await client.info("deepfake")
    with pytest.raises(errors.ModelUnavailable, match="not part"):
        await client.info("karaoke")


async def test_a_graph_without_models_answers_its_health_without_another_try(
    client: AsyncClient, analyzer: FakeAnalyzer
) -> None:
    analyzer.graph_health = GraphHealth({}, {"language": "no checkpoint."})

    assert await client.health() == analyzer.graph_health


async def test_wrong_options_are_refused_in_the_words_of_the_server(client: AsyncClient) -> None:
    with pytest.raises(errors.InvalidOptions, match="min_speakers is 3, more than max_speakers, 2") as raised:
        await client.diarize(CLIP, min_speakers=3, max_speakers=2)

    assert raised.value.request_id


def test_a_newer_server_may_say_more() -> None:
    turn = {"start": 0.5, "end": 1.0, "speaker": "SPEAKER_00", "mood": "calm"}

    found = answers.diarization(
        {"diarization_results": [turn], "speakers": ["SPEAKER_00"], "weather": "mild"}
    )

    assert found.turns[0].end_s == 1.0
