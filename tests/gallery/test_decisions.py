"""Decisions: nobody is named by chance, whatever the size of the gallery and the order of enrolment."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gallery.calibration import Calibration
from gallery.decisions import (
    FIXED_COSINE,
    FIXED_SPEAKERS,
    POINTS,
    decide_identify,
    decide_verify,
    one_to_one,
)
from gallery.search import Scores
from voxgraph.results.gallery import Decision

CALIBRATION = Calibration(score=1.0, offset=0.0)


def scores(cosines, names=None) -> Scores:
    cosines = np.atleast_1d(np.asarray(cosines, float))
    found = [f"s{index}" for index in range(len(cosines))] if names is None else names
    return Scores(cosines, np.full(len(cosines), 20.0), np.array(found, object))


def of_llrs(llrs, names=None) -> Scores:
    """Scores that `CALIBRATION` scaled by 10 turns into these ratios."""
    return scores(np.tanh(np.asarray(llrs, float) / 10), names)


TEN = replace(CALIBRATION, score=10.0)


def identify(llrs, names=None, **options):
    return decide_identify(of_llrs(llrs, names), TEN, 6.0, options.pop("point", "balanced"), **options)


def test_a_clear_speaker_is_named_with_a_posterior_and_a_margin():
    found = identify([9.0, 1.0, -3.0])
    assert (found.decision, found.name) == (Decision.MATCH, "s0")
    third = 0.5 / 3
    expected = third * np.exp(9) / (0.5 + third * (np.exp(9) + np.exp(1) + np.exp(-3)))
    assert found.best.probability == pytest.approx(expected, abs=1e-6)
    assert found.margin == pytest.approx(8.0, abs=1e-5)


def test_two_equal_speakers_are_ambiguous_and_both_are_candidates():
    found = identify([12.0, 12.0, -5.0])
    assert (found.decision, found.name) == (Decision.AMBIGUOUS, None)
    assert [each.name for each in found.candidates[:2]] == ["s0", "s1"]


def test_a_stranger_is_unknown():
    assert identify([-4.0, -2.0, -9.0]).decision is Decision.UNKNOWN


def test_an_empty_gallery_knows_nobody():
    assert identify([]).decision is Decision.UNKNOWN


def test_the_ratio_that_names_somebody_rises_with_the_gallery():
    small, large = identify([6.0, *[-9.0] * 9]), identify([6.0, *[-9.0] * 999])
    assert (small.decision, large.decision) == (Decision.MATCH, Decision.UNKNOWN)


def test_operating_points_are_ordered():
    decisions = [identify([5.0, -9.0], point=point).decision for point in ("lenient", "balanced", "strict")]
    assert decisions == [Decision.MATCH, Decision.MATCH, Decision.AMBIGUOUS]
    assert [POINTS[point].llr for point in POINTS] == pytest.approx(np.log([1e2, 1e3, 1e4]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-15, 15), min_size=2, max_size=40), st.randoms())
def test_the_order_of_enrolment_changes_nothing(llrs, random):
    names = [f"n{index:02}" for index in range(len(llrs))]
    order = list(range(len(llrs)))
    random.shuffle(order)
    shuffled = identify([llrs[i] for i in order], [names[i] for i in order])
    assert identify(llrs, names) == shuffled


@pytest.mark.parametrize(("point", "most"), [("balanced", 0.025), ("strict", 0.005)])
@pytest.mark.parametrize("count", [10, 100, 1000, 10_000])
def test_strangers_stay_strangers_however_many_are_enrolled(count, point, most):
    """Calibrated ratios of strangers: normal, mean -m, variance 2 m; the equal error rate is 0.3 %."""
    generator = np.random.default_rng(count)
    mean = 2 * 2.75**2
    probes = 400
    ratios = generator.normal(-mean, np.sqrt(2 * mean), (probes, count))
    names = np.array([f"s{index}" for index in range(count)], object)
    wide = replace(CALIBRATION, score=100.0)
    decided = [
        decide_identify(Scores(np.tanh(row / 100), np.full(count, 20.0), names), wide, 6.0, point)
        for row in ratios
    ]
    named = sum(found.decision is Decision.MATCH for found in decided)
    # One threshold that accepts one stranger in a thousand comparisons names more with every speaker.
    by_threshold = (ratios.max(axis=1) >= np.quantile(ratios[:, 0], 0.999)).mean()
    assert named / probes <= most
    if count >= 1000:
        assert by_threshold > 0.2


def test_verification_has_three_answers():
    threshold = POINTS["balanced"].llr
    for llr, decision in ((-1.0, Decision.NO_MATCH), (3.0, Decision.INCONCLUSIVE), (9.0, Decision.MATCH)):
        found = decide_verify(of_llrs([llr]), TEN, 6.0, "balanced")
        assert (found.decision, found.name, found.threshold) == (decision, "s0", threshold)
        assert found.best.llr == pytest.approx(llr, abs=1e-5)


def test_a_space_without_calibration_is_decided_by_a_fixed_rule_that_says_so():
    high = FIXED_COSINE["balanced"] + 0.05
    clear = decide_identify(scores([high, 0.2]), None, 6.0, "balanced")
    close = decide_identify(scores([high, high - 0.01]), None, 6.0, "balanced")
    many = decide_identify(scores([high, *[0.1] * FIXED_SPEAKERS]), None, 6.0, "balanced")
    far = decide_identify(scores([0.5, 0.1]), None, 6.0, "balanced")
    assert [each.decision for each in (clear, close, many, far)] == [
        Decision.MATCH, Decision.AMBIGUOUS, Decision.AMBIGUOUS, Decision.UNKNOWN,
    ]  # fmt: skip
    assert (clear.calibrated, clear.best.llr, clear.best.probability) == (False, None, None)
    assert decide_verify(scores([high]), None, 6.0, "balanced").decision is Decision.MATCH
    assert decide_verify(scores([0.1]), None, 6.0, "balanced").decision is Decision.NO_MATCH


def test_two_voices_get_two_names():
    verdicts = [identify([12.0, -3.0, -8.0]), identify([-4.0, 11.0, -8.0])]
    assert [each.name for each in one_to_one(verdicts)] == ["s0", "s1"]


def test_one_person_heard_as_two_is_named_neither_time():
    verdicts = [identify([12.0, -9.0]), identify([11.0, -9.0])]
    found = one_to_one(verdicts)
    assert [each.decision for each in found] == [Decision.AMBIGUOUS] * 2
    assert all(each.candidates for each in found)


def test_a_much_nearer_voice_keeps_the_name_and_the_other_loses_it():
    verdicts = [identify([18.0, -9.0]), identify([6.0, -9.0])]
    found = one_to_one(verdicts)
    assert [each.decision for each in found] == [Decision.MATCH, Decision.AMBIGUOUS]


def test_unknown_voices_and_refusals_pass_through_the_assignment():
    refused = replace(identify([-9.0, -9.0]), decision=Decision.NOT_ENOUGH_SPEECH, candidates=())
    verdicts = [identify([-9.0, -8.0]), refused, identify([12.0, -9.0])]
    assert one_to_one(verdicts) == verdicts
