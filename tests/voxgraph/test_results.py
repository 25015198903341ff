"""Decisions that the results make for handles and HTTP alike."""

from dataclasses import replace

import numpy as np
import pytest

from voxgraph.options import ChunkOptions
from voxgraph.results import (
    AccentResult,
    Analysis,
    DeepfakeChunk,
    DeepfakeScore,
    DeepfakeVerdict,
    DiarizationResult,
    Embedding,
    LanguageResult,
    SpeakerResult,
    Turn,
    shortness,
)
from voxgraph.similarity import compare


def verdict(*scores: float) -> DeepfakeVerdict:
    chunks = [
        DeepfakeChunk(index, 2.5 * index, 2.5 * index + 5, DeepfakeScore(score, 1 - score))
        for index, score in enumerate(scores)
    ]
    return DeepfakeVerdict.from_chunks(chunks, ChunkOptions())


@pytest.mark.parametrize(
    ("scores", "is_deepfake", "confidence", "chunk_confidence"),
    [
        ((0.9,), True, 0.9, 0.9),
        ((0.5,), False, 0.5, 0.5),
        ((0.9, 0.2), False, 0.45, 0.85),  # half of the chunks are not more than half
        ((0.9, 0.2, 0.7), True, 0.6, 0.8),
    ],
)
def test_more_than_half_of_the_chunks_make_a_deepfake(
    scores: tuple[float, ...], is_deepfake: bool, confidence: float, chunk_confidence: float
) -> None:
    found = verdict(*scores)

    assert found.is_deepfake is is_deepfake
    assert found.ai_generated_chunks == sum(score > 0.5 for score in scores)
    assert found.confidence == pytest.approx(confidence)
    assert found.chunk_confidence == pytest.approx(chunk_confidence)


def test_a_normalized_embedding_has_length_1_and_stays_in_its_space() -> None:
    vector = np.linspace(-3, 4, 192).astype(np.float32)
    voice = Embedding(vector, "some/encoder", "abc")

    found = voice.normalized()

    assert np.linalg.norm(found.vector) == pytest.approx(1.0, abs=1e-6)
    assert found.vector.dtype == np.float32
    assert (found.model, found.revision) == ("some/encoder", "abc")
    assert not np.isnan(Embedding(np.zeros(192, np.float32), "e", "r").normalized().vector).any()


def test_the_most_probable_languages_come_first() -> None:
    probabilities = {"en": 0.1, "de": 0.5, "fr": 0.2, "ja": 0.12, "ko": 0.05, "zh": 0.03}

    top = LanguageResult("de", "German", 0.5, probabilities).top()

    assert list(top) == ["de", "fr", "ja", "en", "ko"]


def test_a_speaker_with_only_short_turns_is_removed_with_them() -> None:
    turns = (Turn(0.5, 2.0, "SPEAKER_00"), Turn(1.75, 1.9, "SPEAKER_01"))

    found = DiarizationResult(turns, turns, ("SPEAKER_00", "SPEAKER_01")).without_short_turns(0.2)

    assert found.turns == found.exclusive_turns == turns[:1]
    assert found.speakers == ("SPEAKER_00",)


def test_speakers_with_one_name_have_the_voice_of_the_first() -> None:
    voices = {f"SPEAKER_0{index}": Embedding(np.full(2, index), "some/encoder", "abc") for index in range(3)}
    turns = tuple(Turn(index, index + 1.0, speaker) for index, speaker in enumerate(voices))

    found = DiarizationResult(turns, turns, tuple(voices), embeddings=voices).named(
        {"SPEAKER_01": "Ann", "SPEAKER_02": "Ann"}
    )

    assert found.speakers == ("SPEAKER_00", "Ann")
    assert found.embeddings is not None
    assert {name: voice.vector[0] for name, voice in found.embeddings.items()} == {"SPEAKER_00": 0, "Ann": 1}


@pytest.mark.parametrize(("threshold", "same"), [(0.99, True), (1.0, False)])
def test_voices_above_the_threshold_are_the_same_speaker(threshold: float, same: bool) -> None:
    voice = Embedding(np.linspace(-1, 1, 192).astype(np.float32), "some/encoder", "abc")

    found = compare(voice, voice, threshold)

    assert found.same_speaker is same
    assert found.similarity == pytest.approx(1.0)


def language(warning: str | None = None) -> LanguageResult:
    return LanguageResult("en", "English", 1.0, {"en": 1.0}, warning=warning)


@pytest.mark.parametrize(
    ("speech_s", "warning"),
    [
        (2.96, "Only 2.9 s of speech: under 3 s, the language is much less certain."),
        (2.3, "Only 2.3 s of speech: under 3 s, the language is much less certain."),
        (3.0, None),
        (40.0, None),
    ],
)
def test_too_little_speech_is_worth_a_warning(speech_s: float, warning: str | None) -> None:
    assert shortness(speech_s) == warning


@pytest.mark.parametrize("of_model", [None, "Only 2.0 s of speech."])
@pytest.mark.parametrize(("speech_s", "warns"), [(0.0, True), (1.4, True), (3.5, False)])
def test_the_speech_that_was_found_decides_on_the_warning(
    of_model: str | None, speech_s: float, warns: bool
) -> None:
    """In steady noise the model finds as much speech as there is sound, in a loud word less than there is."""
    embedding = Embedding(np.ones(3, np.float32), "e", "r")
    results = (
        language(of_model).heard(speech_s),
        SpeakerResult(embedding, language(of_model)).heard(speech_s).language,
        Analysis(language=language(of_model)).heard(speech_s).language,
    )

    for found in results:
        assert found is not None
        assert (found.speech_s, found.warning) == (speech_s, shortness(speech_s))
        assert (found.warning is not None) == warns


def test_without_the_seconds_of_speech_the_warning_of_the_model_remains() -> None:
    assert language("Only 2.0 s of speech.").heard(None).warning == "Only 2.0 s of speech."
    assert language().heard(None).warning is None


def test_seconds_of_no_speech_are_not_believed_where_the_model_hears_some() -> None:
    word = replace(language("Only 2.0 s of speech."), is_speech=True)
    noise = replace(word, is_speech=False)
    embedding = Embedding(np.ones(3, np.float32), "e", "r")
    everything = Analysis(accent=AccentResult("us", 1.0, 1.0, {"us": 1.0}))

    for one, speech_s, warning in (
        (word, None, "Only 2.0 s of speech."),
        (noise, 0.0, shortness(0.0)),
        (language(), 0.0, shortness(0.0)),
    ):
        voice = SpeakerResult(embedding, one)
        of_voice = replace(everything, speaker=voice).heard(0.0)
        of_language = replace(everything, language=one).heard(0.0)
        found = (one.heard(0.0), voice.heard(0.0), of_voice, of_voice.accent, of_language, of_language.accent)

        assert [answer.speech_s for answer in found if answer] == [speech_s] * 6
        assert one.heard(0.0).warning == warning
    assert (word.heard(0.4).speech_s, word.heard(0.4).warning) == (0.4, shortness(0.4))


def test_a_voice_of_a_named_encoder_has_no_language_to_warn_of() -> None:
    found = SpeakerResult(Embedding(np.ones(3, np.float32), "e", "r"), None).heard(1.0)

    assert (found.language, found.speech_s) == (None, 1.0)
