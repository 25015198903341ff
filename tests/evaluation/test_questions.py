"""Figures of each question, against values counted by hand."""

from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.api.schemas.accent import AccentAnswer
from deployments.api.schemas.analysis import AnalysisAnswer
from deployments.api.schemas.deepfake import DeepfakeAnswer
from deployments.api.schemas.language import LanguageAnswer
from evaluation.asking import Answered
from evaluation.manifest import Clip
from evaluation.questions import accent, deepfake, language
from voxgraph.options import ChunkOptions
from voxgraph.results import (
    AccentResult,
    DeepfakeChunk,
    DeepfakeScore,
    DeepfakeVerdict,
    LanguageResult,
)


def answered(clip: Clip, seconds: float = 4.0, **answers: Any) -> Answered:
    return Answered(clip, AnalysisAnswer(processing_time=0.0, audio_duration=seconds, **answers))


def spoken(
    lang: str,
    answer: str,
    confidence: float,
    best: str = "",
    warning: str | None = None,
    seconds: float = 4.0,
) -> Answered:
    probabilities = {best or answer: 0.6, "xx": 0.4}
    result = LanguageResult(answer, answer, confidence, probabilities, warning=warning)
    return answered(Clip("a", lang=lang), seconds, language=LanguageAnswer.from_result(result))


def verdict_on(label: str, source: str, *scores: float, generator: str = "") -> Answered:
    chunks = [DeepfakeChunk(i, i, i + 1.0, DeepfakeScore(score, 1 - score)) for i, score in enumerate(scores)]
    found = DeepfakeAnswer.from_result(DeepfakeVerdict.from_chunks(chunks, ChunkOptions()))
    return answered(Clip("a", label=label, source=source, generator=generator), deepfake=found)


def test_language_figures_are_the_shares_that_one_counts() -> None:
    section = language.evaluate(
        [
            spoken("en", "en", 0.8),
            spoken("en", "de", 0.95),
            spoken("en", "unknown", 0.7, best="en", warning="Too little speech.", seconds=1.0),
            spoken("de", "nl", 0.6, warning="Too little speech."),
            spoken("de", "de", 0.8),
        ]
    )

    found = section.figures
    assert (found["clips"], found["right"], found["best"]) == (5, 0.4, 0.6)
    assert found["unknown"] == pytest.approx(0.2)
    assert found["right of named"] == 0.5
    assert found["right of named and certain"] == pytest.approx(2 / 3)
    assert found["uncertain"] == 0.4
    assert found["wrong, sure"] == 0.2
    assert found["English called another language, sure"] == pytest.approx(1 / 3)
    # Confidences 0.8, 0.8 (both right), 0.95 (wrong) and 0.6 (wrong).
    assert found["ECE"] == pytest.approx((2 * 0.2 + 0.95 + 0.6) / 4)
    assert section.tables[1].rows == [
        ("en", "de", 1, pytest.approx(1 / 3)),
        ("en", "unknown", 1, pytest.approx(1 / 3)),
        ("de", "nl", 1, 0.5),
    ]  # fmt: skip
    by_group = {row[0]: row[1:3] for row in section.tables[0].rows}
    assert by_group["kind: real, under 3 s"] == (1, 0.0)
    assert by_group["language: de"] == (2, 0.5)


def test_accent_figures_are_the_shares_that_one_counts() -> None:
    def heard(us: bool, probability: float, name: str) -> Answered:
        result = AccentResult.from_probabilities(["us", "england"], [probability, 1 - probability])
        return answered(Clip("a", us=us, accent=name), accent=AccentAnswer.from_result(result, 2))

    section = accent.evaluate(
        [
            heard(True, 0.9, "us"),
            heard(True, 0.4, "us"),
            heard(False, 0.6, "india"),
            heard(False, 0.1, "wales"),
        ]
    )

    assert section.figures["AUC"] == 0.75
    assert (section.figures["called US: US"], section.figures["others"]) == (0.5, 0.5)
    assert section.figures["ECE"] == pytest.approx((0.1 + 0.6 + 0.6 + 0.1) / 4)
    assert section.tables[1].rows == [
        ("us", "yes", 2, pytest.approx(0.65), 0.5),
        ("india", "no", 1, 0.6, 1.0),
        ("wales", "no", 1, 0.1, 0.0),
    ]  # fmt: skip


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]), min_size=1, max_size=6),
    st.sampled_from([0.2, 0.4, 0.6, 0.8]),
)
def test_the_score_of_a_recording_exceeds_a_point_exactly_if_most_chunks_do(
    chances: list[float], point: float
) -> None:
    found = verdict_on("real", "a", *chances)

    exceeding = sum(chance > point for chance in chances)
    below = sum(chance < point for chance in chances)
    assert (deepfake.score(found) > point) == (exceeding > len(chances) / 2)
    assert (deepfake.low_score(found) < point) == (below > len(chances) / 2)


def test_the_operating_points_pass_hardly_any_real_recording_of_any_source() -> None:
    quiet = [verdict_on("real", "quiet", score) for score in np.linspace(0.0, 0.3, 100)]
    loud = [verdict_on("real", "loud", score) for score in np.linspace(0.2, 0.6, 100)]
    fakes = [verdict_on("fake", "x", score, generator="A") for score in np.linspace(0.4, 1.0, 100)]
    fakes += [verdict_on("fake", "x", score, generator="B") for score in np.linspace(0.1, 0.5, 100)]

    section = deepfake.evaluate([*quiet, *loud, *fakes])

    above = section.figures["operating point: ai_generated above"]
    below = section.figures["operating point: no_sign_found below"]
    assert isinstance(above, float)
    assert isinstance(below, float)
    assert above == pytest.approx(0.6 - 2 * 0.4 / 99)
    assert below == pytest.approx(0.1 + 5 * 0.4 / 99)
    written = yaml.safe_load(section.settings)["deepfake_points"]
    assert above <= written["ai_generated"] <= above + 1e-4
    assert below - 1e-4 <= written["no_sign_found"] <= below
    points = next(table for table in section.tables if table.title.startswith("Generated recordings at"))
    assert points.rows == [("A", 100, pytest.approx(0.68, abs=0.02), 0.0), ("B", 100, 0.0, 0.05)]
    left_out = next(table for table in section.tables if "above the operating" in table.title)
    assert {row[0]: row[3] for row in left_out.rows} == {"quiet": 0.0, "loud": pytest.approx(0.76, abs=0.02)}
    assert "loud" in section.notes[-1]
    assert "Do not accuse anybody" in section.notes[-1]
