"""Calibrated comparison of voices."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxgraph.calibration import SpeakerCalibration, posterior
from voxgraph.results import Embedding
from voxgraph.similarity import DEFAULT_THRESHOLD, compare

CALIBRATION = SpeakerCalibration(slope=20.0, intercept=-8.0)


def pair(cosine: float) -> tuple[Embedding, Embedding]:
    """Two vectors whose cosine is the given one."""
    first, second = np.zeros((2, 192), np.float32)
    first[0], second[:2] = 1.0, (cosine, math.sqrt(1 - cosine**2))
    return Embedding(first, "some/encoder", "abc"), Embedding(second, "some/encoder", "abc")


def test_the_ratio_is_a_line_over_the_cosine_and_the_threshold_its_zero() -> None:
    assert CALIBRATION.llr(0.5) == pytest.approx(2.0)
    assert CALIBRATION.threshold == pytest.approx(0.4)
    assert CALIBRATION.llr(CALIBRATION.threshold) == pytest.approx(0.0)


@given(st.floats(-30, 30), st.floats(0.01, 0.99))
def test_the_odds_are_those_of_the_prior_times_the_likelihood_ratio(llr: float, prior: float) -> None:
    odds = math.exp(llr) * prior / (1 - prior)

    assert posterior(llr, prior) == pytest.approx(odds / (1 + odds), abs=1e-12)


def test_no_ratio_overflows() -> None:
    assert posterior(-1e300) == 0.0
    assert posterior(1e300) == 1.0


def test_a_calibrated_comparison_has_a_ratio_and_a_probability() -> None:
    found = compare(*pair(0.5), calibration=CALIBRATION)

    assert found.llr == pytest.approx(2.0)
    assert found.probability == pytest.approx(1 / (1 + math.exp(-2.0)))


def test_a_comparison_without_calibration_has_neither() -> None:
    found = compare(*pair(0.5))

    assert (found.llr, found.probability, found.calibration) == (None, None, None)


@pytest.mark.parametrize(
    ("threshold", "calibration", "used"),
    [(None, CALIBRATION, 0.4), (None, None, DEFAULT_THRESHOLD), (0.1, CALIBRATION, 0.1), (0.6, None, 0.6)],
)
def test_a_threshold_wins_over_that_of_the_calibration_and_that_over_the_default(
    threshold: float | None, calibration: SpeakerCalibration | None, used: float
) -> None:
    above, below = (compare(*pair(used + step), threshold, calibration) for step in (0.01, -0.01))

    assert above.threshold == pytest.approx(used)
    assert (above.same_speaker, below.same_speaker) == (True, False)
