"""The languages that a caller allows."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.allow_list import allowed_names, language_names
from voxgraph.errors import InvalidOptions
from voxgraph.results import UNKNOWN_LANGUAGE, LanguageResult

KNOWN = {"en": "English", "de": "German", "he": "Hebrew", "jv": "Javanese"}
CODES = [*KNOWN]


def told(*probabilities: float, heard: bool = True, least: float = 0.0) -> LanguageResult:
    by_code = dict(zip(CODES, probabilities, strict=False))
    return LanguageResult("", "", 0.0, by_code, is_heard=heard, min_confidence=least).decided(KNOWN)


def test_labels_become_names_by_current_code() -> None:
    assert language_names(["en: English", "iw: Hebrew", "jw: Javanese", "xx"]) == {
        "en": "English", "he": "Hebrew", "jv": "Javanese", "xx": "xx",
    }  # fmt: skip


def test_retired_codes_are_allowed() -> None:
    assert allowed_names(["iw", "he", "de"], KNOWN) == {"he": "Hebrew", "de": "German"}


def test_unknown_codes_are_named_but_not_at_any_length() -> None:
    with pytest.raises(InvalidOptions, match=r"does not know 'xx', 'yyyyyyyyyy'\. It knows de en he jv\."):
        allowed_names(["en", "xx", "y" * 1000], KNOWN)
    with pytest.raises(InvalidOptions, match="and 190 more"):
        allowed_names([f"x{number}" for number in range(200)], KNOWN)


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4), st.sets(st.sampled_from(CODES), min_size=1))
def test_the_allowed_languages_keep_their_proportions_and_sum_to_one(
    probabilities: list[float], codes: set[str]
) -> None:
    before = told(*probabilities)
    found = before.among({code: KNOWN[code] for code in codes})

    assert {*found.probabilities} == codes
    assert math.isclose(sum(found.probabilities.values()), 1.0, rel_tol=1e-9)
    total = sum(before.probabilities[code] for code in codes)
    if total > 0:
        for code in codes:
            assert found.probabilities[code] == pytest.approx(before.probabilities[code] / total)
        assert found.confidence == max(found.probabilities.values())
        assert found.probabilities[found.language] == found.confidence


def test_a_language_that_is_too_uncertain_among_all_may_be_certain_among_few() -> None:
    unsure = told(0.5, 0.1, 0.2, 0.2, least=0.6)
    assert unsure.language == UNKNOWN_LANGUAGE
    assert unsure.confidence == 0.5

    assert unsure.among({"en": "English", "de": "German"}).language == "en"
    assert unsure.among({"de": "German", "he": "Hebrew"}).language == "he"
    assert unsure.among({"he": "Hebrew", "jv": "Javanese"}).language == UNKNOWN_LANGUAGE


def test_where_no_language_is_heard_an_allowed_one_is_not_either() -> None:
    found = told(0.9, 0.1, heard=False).among({"en": "English"})

    assert (found.language, found.confidence) == (UNKNOWN_LANGUAGE, 0.0)


def test_languages_without_any_probability_are_unknown() -> None:
    found = told(1.0, 0.0, 0.0, 0.0).among({"de": "German", "he": "Hebrew"})

    assert found.language == UNKNOWN_LANGUAGE
    assert found.probabilities == {"de": 0.5, "he": 0.5}
