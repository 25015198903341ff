"""Error rates of voice verification, against their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from evaluation.metrics.resampling import Interval
from evaluation.metrics.verification import (
    Pairs,
    Rates,
    Trials,
    equal_error_rate,
    intervals,
    min_dcf,
    weighted_auc,
)

PAIRS = st.lists(st.tuples(st.booleans(), st.integers(-5, 5)), min_size=2, max_size=40).filter(
    lambda pairs: len({same for same, _ in pairs}) == 2
)


def trials(pairs: list[tuple[bool, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([same for same, _ in pairs]), np.array([score for _, score in pairs], np.float64)


def rates_by_counting(same: np.ndarray, scores: np.ndarray) -> Rates:
    thresholds = [*np.unique(scores), np.inf]
    missed = [float((scores[same] < threshold).mean()) for threshold in thresholds]
    false = [float((scores[~same] >= threshold).mean()) for threshold in thresholds]
    return Rates(np.array(missed), np.array(false))


@settings(deadline=None)
@given(PAIRS)
def test_the_errors_at_each_threshold_are_those_that_one_counts(pairs: list[tuple[bool, int]]) -> None:
    same, scores = trials(pairs)

    found, expected = Trials(same, scores).rates(), rates_by_counting(same, scores)

    assert found.missed == pytest.approx(expected.missed)
    assert found.false == pytest.approx(expected.false)


@settings(deadline=None)
@given(PAIRS, st.data())
def test_a_weight_counts_a_pair_as_often(pairs: list[tuple[bool, int]], data: st.DataObject) -> None:
    times = data.draw(st.lists(st.integers(1, 3), min_size=len(pairs), max_size=len(pairs)))
    same, scores = trials(pairs)

    found = Trials(same, scores).rates(np.array(times, np.float64))

    expected = Trials(np.repeat(same, times), np.repeat(scores, times)).rates()
    assert found.missed == pytest.approx(expected.missed)
    assert found.false == pytest.approx(expected.false)


@settings(deadline=None)
@given(PAIRS)
def test_the_equal_error_rate_lies_between_the_errors_round_it(pairs: list[tuple[bool, int]]) -> None:
    rates = Trials(*trials(pairs)).rates()

    found = equal_error_rate(rates)

    assert np.maximum(rates.missed, rates.false).min() >= found >= np.minimum(rates.missed, rates.false).max()


@settings(deadline=None)
@given(PAIRS, st.data())
def test_the_area_under_the_curve_is_that_of_scikit_learn(
    pairs: list[tuple[bool, int]], data: st.DataObject
) -> None:
    weights = np.array(
        data.draw(st.lists(st.integers(1, 3), min_size=len(pairs), max_size=len(pairs))), float
    )
    same, scores = trials(pairs)

    auc = weighted_auc(same, scores)

    assert auc(None) == pytest.approx(roc_auc_score(same, scores))
    assert auc(weights) == pytest.approx(roc_auc_score(same, scores, sample_weight=weights))


def test_scores_of_one_kind_have_no_area_under_the_curve() -> None:
    auc = weighted_auc(np.array([True, False]), np.array([1.0, 0.0]))

    assert auc(np.array([1.0, 0.0])) is None


def test_known_scores_have_known_error_rates() -> None:
    same = np.array([True, True, True, True, False, False, False, False])
    scores = np.array([0.9, 0.8, 0.7, 0.2, 0.75, 0.3, 0.1, 0.0])

    rates = Trials(same, scores).rates()

    assert equal_error_rate(rates) == pytest.approx(0.25)
    # One in a hundred pairs is one voice: only a threshold above 0.75 pays, and it misses two of four.
    assert min_dcf(rates) == pytest.approx(0.5)
    # With even odds, 0.7 misses one of four and accepts one of four.
    assert min_dcf(rates, target=0.5) == pytest.approx(0.5)


def test_scores_that_part_the_voices_make_no_error_and_reversed_ones_make_all() -> None:
    same, scores = np.array([True, True, False, False]), np.array([4.0, 3.0, 2.0, 1.0])

    assert equal_error_rate(Trials(same, scores).rates()) == 0.0
    assert min_dcf(Trials(same, scores).rates()) == 0.0
    assert equal_error_rate(Trials(~same, scores).rates()) == 1.0
    assert min_dcf(Trials(~same, scores).rates()) == 1.0


def test_scores_that_know_nothing_cost_what_deciding_without_them_costs() -> None:
    rates = Trials(np.array([True, False, True, False]), np.zeros(4)).rates()

    assert equal_error_rate(rates) == 0.5
    assert min_dcf(rates) == 1.0


@settings(deadline=None)
@given(PAIRS, st.sampled_from([0.0, 0.01, 0.3, 1.0]))
def test_a_threshold_is_the_lowest_that_accepts_few_enough(
    pairs: list[tuple[bool, int]], allowed: float
) -> None:
    same, scores = trials(pairs)

    found = Trials(same, scores).threshold(allowed)

    few_enough = [s for s in (*np.unique(scores), np.inf) if (scores[~same] >= s).mean() <= allowed]
    assert found == min(few_enough)


def test_every_pair_of_recordings_is_scored_once_by_its_cosine() -> None:
    vectors = np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 3.0]])

    pairs = Pairs.of(vectors, np.array([0, 0, 1]))

    assert pairs.same.tolist() == [True, False, False]
    assert pairs.scores == pytest.approx([0.5**0.5, 0.0, 0.5**0.5])


def voices(n_voices: int, spread: float, seed: int = 0) -> Pairs:
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(n_voices, 16))
    labels = np.repeat(np.arange(n_voices), 4)
    return Pairs.of(centres[labels] + spread * generator.normal(size=(len(labels), 16)), labels)


def both_intervals(pairs: Pairs, **options: float) -> list[Interval]:
    trials = Trials(pairs.same, pairs.scores)

    def statistics(weights: np.ndarray) -> tuple[float, float]:
        rates = trials.rates(weights)
        return equal_error_rate(rates), min_dcf(rates)

    return intervals(pairs, statistics, **options)


def test_an_interval_holds_the_statistic_and_narrows_with_more_voices() -> None:
    few, many = voices(10, 1.5), voices(120, 1.5)

    (low, high), _ = both_intervals(few)
    (narrow_low, narrow_high), _ = both_intervals(many, resamples=100)

    assert 0 <= low < equal_error_rate(Trials(few.same, few.scores).rates()) < high <= 1
    assert narrow_high - narrow_low < (high - low) / 2


def test_an_interval_is_the_same_again_and_is_wider_at_a_higher_level() -> None:
    pairs = voices(12, 1.5)

    (_, (low, high)), (_, (wide_low, wide_high)) = both_intervals(pairs), both_intervals(pairs, level=0.99)

    assert (low, high) == both_intervals(pairs)[1]
    assert wide_low <= low <= high <= wide_high
    assert (wide_low, wide_high) != (low, high)


def test_an_interval_does_not_depend_on_voices_that_are_in_no_pair() -> None:
    pairs = voices(10, 1.5)

    renumbered = Pairs(3 * pairs.first + 50, 3 * pairs.second + 50, pairs.scores)

    assert both_intervals(renumbered) == both_intervals(pairs)


def test_a_few_voices_have_no_interval() -> None:
    assert both_intervals(voices(4, 1.0)) == []
    assert len(both_intervals(voices(5, 1.0))) == 2


def test_chosen_pairs_keep_their_speakers_and_scores() -> None:
    pairs = voices(3, 1.0)

    same = pairs.only(pairs.same)

    assert same.same.all()
    assert same.scores.tolist() == pairs.scores[pairs.same].tolist()
    assert pairs.has_both_kinds
    assert not same.has_both_kinds
