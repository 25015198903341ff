"""Calibration: the parameters of simulated voices come back, and too few trials give no number."""

from dataclasses import replace

import numpy as np
import pytest

from config.settings import STARTER, CheckpointSource, Size
from gallery.calibration import (
    MIN_SPEAKERS,
    Calibration,
    NotEnoughData,
    Trials,
    fisher,
    fit,
    log_speech,
    shipped,
)
from pipelines.checkpoints import locate
from voxgraph.options import ModelKey
from voxgraph.results.gallery import Space

TRUE = Calibration(score=20.0, offset=-5.0, enrol=-1.0, test=-2.0, crowd=-8.0, usual=0.4)


def simulated(targets: int, impostors: int, speakers: int = 40, seed: int = 0) -> Trials:
    """Trials whose true ratio is that of `TRUE`.

    Ratios of two normal kinds with means m and -m and the variance 2 m are their own log-likelihood ratios.
    """
    generator = np.random.default_rng(seed)
    is_target = np.arange(targets + impostors) < targets
    llrs = np.where(is_target, 4.0, -4.0) + np.sqrt(8.0) * generator.normal(size=len(is_target))
    enrol_s, test_s = generator.uniform(4, 40, len(is_target)), generator.uniform(2, 40, len(is_target))
    crowds = generator.normal(0.4, 0.1, len(is_target))
    rest = llrs - TRUE.offset - TRUE.enrol * log_speech(enrol_s) - TRUE.test * log_speech(test_s)
    rest -= TRUE.crowd * crowds
    claimed = generator.integers(0, speakers, len(is_target))
    actual = np.where(is_target, claimed, (claimed + 1) % speakers)
    return Trials(np.tanh(rest / TRUE.score), is_target, enrol_s, test_s, claimed, actual, crowds)


def test_the_fit_recovers_the_parameters_of_simulated_trials():
    found = fit(simulated(20_000, 20_000), "simulation")
    for name, within in (("score", 0.6), ("offset", 0.4), ("enrol", 0.15), ("test", 0.15), ("crowd", 0.4)):
        assert getattr(found, name) == pytest.approx(getattr(TRUE, name), abs=within), name
    assert found.usual == pytest.approx(0.4, abs=0.01)


def test_a_crowd_that_speaks_for_speakers_has_no_weight():
    trials = simulated(500, 2000)
    assert fit(replace(trials, crowds=-trials.crowds), "crowds upside down").crowd == 0.0


def test_both_kinds_of_trials_weigh_the_same():
    many, few = fit(simulated(2000, 40_000), "many"), fit(simulated(2000, 2000), "few")
    np.testing.assert_allclose(many.llr([0.2, 0.6], 20.0, 6.0), few.llr([0.2, 0.6], 20.0, 6.0), atol=0.7)


def test_a_length_that_never_changes_has_no_weight():
    trials = simulated(500, 2000)
    assert fit(replace(trials, test_s=np.full(len(trials), 6.0)), "one length").test == 0.0


@pytest.mark.parametrize(
    ("trials", "words"),
    [
        (simulated(29, 2000), "29 of 30"),
        (simulated(40, 999), "999 of 1000"),
        (simulated(40, 2000, speakers=MIN_SPEAKERS - 1), "9 of 10 speakers"),
    ],
)
def test_too_few_trials_give_words_in_place_of_a_number(trials, words):
    with pytest.raises(NotEnoughData, match=words):
        fit(trials, "too few")


def test_scores_that_say_nothing_are_no_calibration():
    trials = simulated(500, 2000)
    with pytest.raises(NotEnoughData, match="not nearer"):
        fit(replace(trials, cosines=-trials.cosines), "upside down")


def test_speech_beyond_half_a_minute_and_a_cosine_of_one_change_nothing_more():
    assert TRUE.llr(0.5, 30.0, 30.0) == TRUE.llr(0.5, 300.0, 3000.0)
    assert np.isfinite(TRUE.llr([1.0, -1.0], 20.0, 0.0)).all()
    assert fisher(0.5) == pytest.approx(0.5493, abs=1e-4)


def test_the_cosine_of_a_ratio_is_that_which_gives_it():
    assert TRUE.llr(TRUE.cosine(6.9, 20.0, 6.0), 20.0, 6.0) == pytest.approx(6.9)


def test_the_encoder_that_comes_with_the_repository_is_calibrated():
    found = locate(ModelKey.SPEAKER_VOXCELEB, CheckpointSource(source=STARTER, size=Size.STARTER))
    calibration = shipped(Space(found.row.hub_id, found.revision, 192))
    assert calibration is not None
    assert calibration.score > 0
    # One speaker is likelier than two where 20 s and 6 s of calm speech are compared, and not elsewhere.
    assert 0.5 < calibration.cosine(0.0, 20.0, 6.0) < 0.7


def test_other_encoders_are_not():
    assert shipped(Space("somebody/elses", "1", 192)) is None


def test_a_calibration_survives_json():
    assert Calibration.from_dict(TRUE.as_dict()) == TRUE
