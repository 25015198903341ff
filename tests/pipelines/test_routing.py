"""Test the choice of the speaker encoder."""

import pytest

from pipelines.routing import common_encoder, encoder_for, encoder_of
from voxgraph.options import ModelKey
from voxgraph.results import UNKNOWN_LANGUAGE, LanguageResult


@pytest.mark.parametrize("language", ["zh", "cmn", "yue", "ja", "ko", "th", "vi"])
def test_asian_languages_go_to_the_cnceleb_encoder(language: str) -> None:
    assert encoder_for(language) is ModelKey.SPEAKER_CNCELEB


@pytest.mark.parametrize("language", ["en", "de", "hi", "id", "unknown", ""])
def test_all_other_languages_go_to_the_voxceleb_encoder(language: str) -> None:
    assert encoder_for(language) is ModelKey.SPEAKER_VOXCELEB


def told(language: str, confidence: float, **probabilities: float) -> LanguageResult:
    return LanguageResult(language, language, confidence, {language: confidence} | probabilities)


def test_cnceleb_embeds_where_the_sum_over_its_languages_reaches_the_minimum() -> None:
    """One voice stays in one space where a short clip is taken now for Korean and now for Japanese."""
    unsure = told("ko", 0.45, ja=0.4, en=0.15)

    assert encoder_of(unsure, 0.8) is ModelKey.SPEAKER_CNCELEB
    assert encoder_of(unsure, 0.9) is ModelKey.SPEAKER_VOXCELEB


def test_a_most_probable_language_does_not_suffice() -> None:
    assert encoder_of(told("vi", 0.5, en=0.3, fr=0.2)) is ModelKey.SPEAKER_VOXCELEB
    assert encoder_of(told("en", 0.15, ko=0.45, ja=0.4)) is ModelKey.SPEAKER_CNCELEB


def test_an_unknown_language_goes_to_voxceleb() -> None:
    assert encoder_of(told(UNKNOWN_LANGUAGE, 0.1, ja=0.9)) is ModelKey.SPEAKER_VOXCELEB


def test_recordings_that_are_compared_take_the_encoder_of_the_language_told_most_surely() -> None:
    assert common_encoder([told("en", 0.85), told("ja", 0.9)]) is ModelKey.SPEAKER_CNCELEB
    assert common_encoder([told("en", 0.9), told("ja", 0.85)]) is ModelKey.SPEAKER_VOXCELEB
    assert common_encoder([told("en", 0.6), told("ja", 0.7)], 0.7) is ModelKey.SPEAKER_CNCELEB
    assert common_encoder([told("en", 0.6), told("ja", 0.7)], 0.71) is ModelKey.SPEAKER_VOXCELEB


def test_an_unknown_language_does_not_decide_the_encoder_of_one_that_is_known() -> None:
    unknown = told(UNKNOWN_LANGUAGE, 0.95)

    assert common_encoder([unknown, told("ja", 0.85)]) is ModelKey.SPEAKER_CNCELEB
    assert common_encoder([unknown, unknown]) is ModelKey.SPEAKER_VOXCELEB
