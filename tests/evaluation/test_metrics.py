"""Metrics of probabilities and likelihood ratios, against their definitions and values computed by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from evaluation.metrics.operating_point import left_out, threshold_above, threshold_below
from evaluation.metrics.reliability import calibration_error, reliability
from evaluation.metrics.resampling import interval
from gallery.likelihood import MinCllr, cllr, fit_calibration, probabilities

SCORES = st.lists(st.tuples(st.booleans(), st.integers(-4, 4)), min_size=2, max_size=30).filter(
    lambda pairs: len({same for same, _ in pairs}) == 2
)


def arrays(pairs: list[tuple[bool, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([score for _, score in pairs], np.float64), np.array([same for same, _ in pairs])


def test_ratios_that_say_nothing_cost_one_bit_and_sure_right_ones_none() -> None:
    same = np.array([True, True, False])

    assert cllr(np.zeros(3), same) == pytest.approx(1.0)
    assert cllr(np.array([50.0, 50.0, -50.0]), same) == pytest.approx(0.0, abs=1e-12)
    # Odds of 3 to 1 for the truth cost log2(4 / 3), those of 3 to 1 against it 2 bits.
    assert cllr(np.log([3, 3, 1 / 3]), same) == pytest.approx(math.log2(4 / 3))
    assert cllr(np.log([1 / 3, 1 / 3, 3]), same) == pytest.approx(2.0)


@settings(deadline=None)
@given(SCORES)
def test_the_cost_of_ratios_is_the_log_loss_at_even_odds(pairs: list[tuple[bool, int]]) -> None:
    llrs, same = arrays(pairs)
    weights = np.where(same, 0.5 / same.sum(), 0.5 / (~same).sum())

    expected = log_loss(same, probabilities(llrs), sample_weight=weights) / math.log(2)

    assert cllr(llrs, same) == pytest.approx(expected)


@settings(deadline=None)
@given(SCORES)
def test_no_affine_calibration_costs_less_than_the_best(pairs: list[tuple[bool, int]]) -> None:
    scores, same = arrays(pairs)

    least = MinCllr(scores, same).cost()

    assert least <= 1 + 1e-12
    for scale in (0.0, 0.3, 1.0, 4.0):
        for offset in (-1.0, 0.0, 1.0):
            assert least <= cllr(scale * scores + offset, same) + 1e-9


@settings(deadline=None)
@given(SCORES, st.data())
def test_a_weight_counts_a_pair_as_often(pairs: list[tuple[bool, int]], data: st.DataObject) -> None:
    times = data.draw(st.lists(st.integers(1, 3), min_size=len(pairs), max_size=len(pairs)))
    scores, same = arrays(pairs)
    repeated, repeated_same = np.repeat(scores, times), np.repeat(same, times)
    weights = np.array(times, np.float64)

    assert MinCllr(scores, same).cost(weights) == pytest.approx(MinCllr(repeated, repeated_same).cost())
    assert cllr(scores, same, weights) == pytest.approx(cllr(repeated, repeated_same))


def test_the_best_calibration_of_separated_scores_costs_nothing_and_of_reversed_ones_a_bit() -> None:
    scores, same = np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True])

    assert MinCllr(scores, same).cost() == 0.0
    assert MinCllr(-scores, same).cost() == pytest.approx(1.0)


def test_a_fitted_calibration_finds_the_ratio_of_two_normal_distributions() -> None:
    generator = np.random.default_rng(0)
    # Means 1 and -1 with variance 1: the true log-likelihood ratio of x is 2 x.
    same = np.arange(60_000) % 10 == 0
    scores = generator.normal(size=60_000) + np.where(same, 1.0, -1.0)

    found = fit_calibration(scores, same)

    assert found.slope == pytest.approx(2.0, rel=0.03)
    assert found.intercept == pytest.approx(0.0, abs=0.05)
    weights = np.where(same, 0.9, 0.1)
    unweighted = LogisticRegression(C=1e6).fit(scores[:, None], same, sample_weight=weights)
    assert found.slope == pytest.approx(float(unweighted.coef_[0, 0]), rel=1e-3)


def test_the_calibration_error_of_known_bins_is_their_mean_distance() -> None:
    probability = np.array([0.05, 0.05, 0.95, 0.95, 1.0])
    true = np.array([False, True, True, True, False])

    bins = reliability(probability, true)

    assert bins.predicted == pytest.approx([0.05, (0.95 + 0.95 + 1) / 3])
    assert bins.observed == pytest.approx([0.5, 2 / 3])
    assert bins.share == pytest.approx([0.4, 0.6])
    assert calibration_error(bins) == pytest.approx(0.4 * 0.45 + 0.6 * (2.9 / 3 - 2 / 3))


def test_weights_count_in_the_bins() -> None:
    probability, true = np.array([0.15, 0.15, 0.85]), np.array([True, False, True])

    weighted = reliability(probability, true, np.array([1.0, 3.0, 0.0]))

    assert weighted.observed.tolist() == [0.25]


def test_at_most_the_share_of_each_source_exceeds_the_operating_point() -> None:
    scores = {"a": np.linspace(0, 1, 101), "b": np.linspace(0, 0.5, 51), "few": np.array([0.3])}

    above = threshold_above(scores, 0.02)

    assert above == pytest.approx(0.98)
    assert all((values > above).mean() <= 0.02 for values in scores.values())
    assert threshold_above({"b": scores["b"]}, 0.02) == pytest.approx(0.49)
    assert threshold_above({"few": scores["few"]}, 1.0) == 0.3
    below = threshold_below(scores, 0.02)
    assert all((values < below).mean() <= 0.02 for values in scores.values())


def test_a_source_that_was_left_out_is_measured_by_the_point_of_the_others() -> None:
    scores = {"quiet": np.full(50, 0.1), "loud": np.r_[np.full(25, 0.05), np.full(25, 0.9)]}

    assert left_out(scores, 0.02) == {"quiet": 0.0, "loud": 0.5}
    assert left_out({"only": np.ones(3)}, 0.02) == {}


def test_an_interval_draws_voices_so_that_repeated_clips_of_a_voice_do_not_narrow_it() -> None:
    generator = np.random.default_rng(1)
    values = generator.normal(size=20)

    def mean_of(clips: np.ndarray):  # type: ignore[no-untyped-def]
        return lambda weights: float(np.average(clips, weights=weights))

    alone = interval(mean_of(values), list(range(20)))
    repeated = interval(mean_of(np.repeat(values, 5)), list(np.repeat(np.arange(20), 5)))

    assert alone is not None
    assert alone == pytest.approx(repeated)
    assert alone.low < values.mean() < alone.high


def test_a_few_voices_have_no_interval_and_neither_has_a_statistic_without_values() -> None:
    assert interval(lambda weights: 1.0, list("abcdabcd")) is None
    assert interval(lambda weights: None, list("abcde")) is None
    assert interval(lambda weights: 1.0, list("abcde")) == (1.0, 1.0)
