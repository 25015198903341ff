"""Metrics of log-likelihood ratios, and the calibration that turns scores into them.

Cllr is the cost of Brümmer and du Preez (Application-independent evaluation of speaker detection, Computer
Speech and Language 20, 2006): in bits, 0 for ratios that are always right and sure, 1 for ratios that say
nothing, more than 1 for ratios that mislead.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.isotonic import isotonic_regression
from sklearn.linear_model import LogisticRegression

from voxgraph.calibration import SpeakerCalibration

Floats = NDArray[np.float64]
Same = NDArray[np.bool_]


def cllr(llrs: Floats, same: Same, weights: Floats | None = None) -> float:
    """Return the cost of natural log-likelihood ratios.

    Args:
        llrs: Logarithm of how much more probable each pair is if it has one speaker, (pairs,).
        same: Whether each pair has one speaker, (pairs,). Both kinds must occur.
        weights: Weight of each pair, (pairs,). None: 1.
    """
    return mean_cost(costs(llrs, same), same, weights)


def costs(llrs: Floats, same: Same) -> Floats:
    """Return the cost of each pair in bits, (pairs,): that of believing its ratio."""
    found: Floats = np.logaddexp(0, np.where(same, -llrs, llrs)) / np.log(2)
    return found


def mean_cost(pair_costs: Floats, same: Same, weights: Floats | None = None) -> float:
    """Return the mean of the mean cost of pairs of one speaker and that of pairs of two."""
    counts = np.ones(len(pair_costs)) if weights is None else weights
    kinds = (same, ~same)
    return float(np.mean([np.average(pair_costs[kind], weights=counts[kind]) for kind in kinds]))


class MinCllr:
    """The cost that the best calibration of scores would have: any that keeps their order.

    Args:
        scores: Higher for pairs that are more probably of one speaker, (pairs,).
        same: Whether each pair has one speaker, (pairs,). Both kinds must occur.
    """

    def __init__(self, scores: Floats, same: Same) -> None:
        order = np.argsort(scores, kind="stable")
        self._order, self._same = order, same[order]
        # Pairs with equal scores get equal ratios.
        self._firsts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))

    def cost(self, weights: Floats | None = None) -> float:
        """Return the cost of the weighted pairs; `weights` is (pairs,), None: 1."""
        counts = np.ones(len(self._order)) if weights is None else weights[self._order]
        same = np.add.reduceat(counts * self._same, self._firsts)
        other = np.add.reduceat(counts * ~self._same, self._firsts)
        same, other = same / same.sum(), other / other.sum()
        drawn = same + other > 0
        same, other = same[drawn], other[drawn]
        posterior = isotonic_regression(same / (same + other), sample_weight=same + other)
        missed = np.log2(posterior, where=same > 0, out=np.zeros_like(same))
        false = np.log2(1 - posterior, where=other > 0, out=np.zeros_like(same))
        # Rounding may leave less than nothing.
        return max(0.0, float(-(same @ missed + other @ false) / 2))


def llrs_of(scores: Floats, calibration: SpeakerCalibration) -> Floats:
    """Return the natural log-likelihood ratio of each score, (pairs,)."""
    return calibration.slope * scores + calibration.intercept


def fit_calibration(scores: Floats, same: Same) -> SpeakerCalibration:
    """Fit a calibration by logistic regression, in which both kinds of pairs weigh the same.

    Args:
        scores: Similarity of each pair, (pairs,).
        same: Whether each pair has one speaker, (pairs,). Both kinds must occur.
    """
    share = same.mean()
    weights = np.where(same, 0.5 / share, 0.5 / (1 - share))
    # The weak default penalty keeps the scale finite if a threshold separates the pairs.
    model = LogisticRegression().fit(scores[:, None], same, sample_weight=weights)
    return SpeakerCalibration(float(model.coef_[0, 0]), float(model.intercept_[0]))


def probabilities(llrs: Floats, prior: float = 0.5) -> Floats:
    """Return the probability of one speaker, given the probability before the comparison."""
    found: Floats = expit(llrs + logit(prior))
    return found
