"""The fit of the speaker calibration."""

import numpy as np
import pytest

from evaluation.metrics.verification import Pairs
from gallery.likelihood import cllr
from training.starter.speaker_calibration import fit, llrs


def pairs(mean: float, other: float, deviation: float, count: int = 40_000) -> Pairs:
    """A quarter of pairs of one speaker, scored round one mean, the others round the other."""
    generator = np.random.default_rng(0)
    same = np.arange(count) % 4 == 0
    scores = np.where(same, mean, other) + deviation * generator.normal(size=count)
    return Pairs(np.zeros(count, int), np.where(same, 0, 1), scores)


def test_the_fit_finds_the_line_of_two_normal_distributions() -> None:
    """For equal variances s the ratio is a line: slope (m1 - m2) / s, zero in the middle of the means."""
    measured = pairs(0.6, 0.2, 0.15)

    found = fit([measured])

    assert found.slope == pytest.approx(0.4 / 0.15**2, rel=0.05)
    assert found.threshold == pytest.approx(0.4, abs=0.01)
    assert cllr(llrs(found, measured), measured.same) < cllr(measured.scores, measured.same)


def test_each_group_has_the_same_weight_however_many_pairs_it_has() -> None:
    first, second = pairs(0.6, 0.2, 0.15), pairs(0.5, 0.1, 0.15, 4_000)

    assert fit([first, second]).threshold == pytest.approx(0.35, abs=0.01)
