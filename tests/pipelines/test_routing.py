"""Test the choice of the speaker encoder."""

import pytest

from pipelines.routing import common_encoder, encoder_for
from voxgraph.options import ModelKey
from voxgraph.results import UNKNOWN_LANGUAGE, LanguageResult


@pytest.mark.parametrize("language", ["zh", "cmn", "yue", "ja", "ko", "th", "vi"])
def test_asian_languages_go_to_the_cnceleb_encoder(language: str) -> None:
    assert encoder_for(language) is ModelKey.SPEAKER_CNCELEB


@pytest.mark.parametrize("language", ["en", "de", "hi", "id", "unknown", ""])
def test_all_other_languages_go_to_the_voxceleb_encoder(language: str) -> None:
    assert encoder_for(language) is ModelKey.SPEAKER_VOXCELEB


def told(language: str, confidence: float) -> LanguageResult:
    return LanguageResult(language, language, confidence, {})


def test_recordings_that_are_compared_take_the_encoder_of_the_language_told_most_surely() -> None:
    assert common_encoder([told("en", 0.6), told("ja", 0.9)]) is ModelKey.SPEAKER_CNCELEB
    assert common_encoder([told("en", 0.9), told("ja", 0.6)]) is ModelKey.SPEAKER_VOXCELEB


def test_an_unknown_language_does_not_decide_the_encoder_of_one_that_is_known() -> None:
    unknown = told(UNKNOWN_LANGUAGE, 0.95)

    assert common_encoder([unknown, told("ja", 0.6)]) is ModelKey.SPEAKER_CNCELEB
    assert common_encoder([unknown, unknown]) is ModelKey.SPEAKER_VOXCELEB
