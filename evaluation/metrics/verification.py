"""Metrics of speaker verification: error rates, detection cost, and their confidence intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.resampling import (
    LEVEL,
    MIN_VOICES,
    RESAMPLES,
    SEED,
    Floats,
    Interval,
    draws,
    quantiles,
)
from gallery.likelihood import llrs_of
from voxgraph.calibration import SpeakerCalibration


class Rates(NamedTuple):
    """The two error rates at each distinct threshold, from the lowest to the highest."""

    missed: Floats
    """Share of same-speaker pairs that the threshold rejects, rising from 0 to 1."""
    false: Floats
    """Share of other pairs that the threshold accepts, falling from 1 to 0."""


class Trials:
    """Scored pairs of recordings.

    Args:
        same: Whether each pair has one speaker, (pairs,). Both kinds must occur.
        scores: Similarity of each pair, (pairs,).
    """

    def __init__(self, same: NDArray[np.bool_], scores: NDArray[np.floating]) -> None:
        self._order = np.argsort(scores, kind="stable")
        self._same = np.asarray(same, bool)[self._order]
        self._scores = np.asarray(scores, np.float64)[self._order]
        # Pairs with equal scores are accepted or rejected together.
        self._lasts = np.flatnonzero(np.diff(self._scores, append=np.inf))

    def rates(self, weights: Floats | None = None) -> Rates:
        """Return the error rates at each threshold.

        Args:
            weights: Weight of each pair, (pairs,). None: 1.
        """
        counts = np.ones(len(self._order)) if weights is None else weights[self._order]
        return Rates(self._refused(counts * self._same), 1 - self._refused(counts * ~self._same))

    def _refused(self, counts: Floats) -> Floats:
        refused = np.cumsum(counts)
        return np.concatenate(([0.0], refused[self._lasts] / refused[-1]))

    def threshold(self, false: float) -> float:
        """Return the lowest score at which at most a share `false` of different-speaker pairs is accepted.

        The result is infinity if even the highest score accepts more.
        """
        scores = np.append(self._scores[self._lasts], np.inf)
        refused = np.append(0, np.cumsum(~self._same)[self._lasts])
        # Counts instead of shares, because 1 - 0.7 is not exactly 0.3.
        accepted = (refused[-1] - refused) / refused[-1]
        return float(scores[np.argmax(accepted <= false)])


def equal_error_rate(rates: Rates) -> float:
    """Return the rate at which both errors are equal, interpolated between the two nearest thresholds."""
    above = int(np.argmax(rates.missed >= rates.false))
    below = above - 1
    gap_below = rates.false[below] - rates.missed[below]
    gap_above = rates.missed[above] - rates.false[above]
    share = gap_below / (gap_below + gap_above)
    return float(rates.missed[below] + share * (rates.missed[above] - rates.missed[below]))


def area_under_curve(rates: Rates) -> float:
    """Return the AUC: the probability that a pair of the first kind scores higher; half of ties count."""
    return float(np.trapezoid(1 - rates.missed[::-1], rates.false[::-1]))


def weighted_auc(positive: NDArray[np.bool_], scores: Floats) -> Callable[[Floats | None], float | None]:
    """Return a function from the weights of recordings, or None, to the AUC of their scores.

    Its result is None if not both kinds of recordings have weight.
    """
    trials = Trials(positive, scores)

    def auc(weights: Floats | None = None) -> float | None:
        drawn = positive if weights is None else positive[weights > 0]
        return area_under_curve(trials.rates(weights)) if drawn.any() and not drawn.all() else None

    return auc


def min_dcf(rates: Rates, target: float = 0.01, missed_cost: float = 1.0, false_cost: float = 1.0) -> float:
    """Return the smallest detection cost of any threshold; 1 is the cost of ignoring the scores.

    The definition is that of NIST's speaker recognition evaluations; the default costs and prior are those of
    published figures on VoxCeleb.

    Args:
        rates: Result of `Trials.rates`.
        target: Prior probability that a pair has one speaker.
        missed_cost: Cost of a rejected same-speaker pair.
        false_cost: Cost of an accepted different-speaker pair.
    """
    missed, false = missed_cost * target, false_cost * (1 - target)
    return float((missed * rates.missed + false * rates.false).min() / min(missed, false))


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of recordings that can be compared."""

    first: NDArray[np.intp]
    """Index of the speaker of the first recording, (pairs,)."""
    second: NDArray[np.intp]
    scores: Floats
    llrs: Floats | None = None
    """Log-likelihood ratios of one speaker against two, (pairs,); None if a score is not calibrated."""

    @classmethod
    def of(
        cls,
        vectors: NDArray[np.floating],
        voices: NDArray[np.intp],
        calibration: SpeakerCalibration | None = None,
    ) -> "Pairs":
        """Score all pairs of embeddings of one encoder by their cosine.

        Args:
            vectors: Embeddings, (recordings, dimension).
            voices: Index of the speaker of each recording, (recordings,).
            calibration: Calibration of the encoder; None if it has none.
        """
        unit = np.asarray(vectors, np.float64)
        unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
        first, second = np.triu_indices(len(unit), 1)
        scores = (unit @ unit.T)[first, second]
        llrs = None if calibration is None else llrs_of(scores, calibration)
        return cls(voices[first], voices[second], scores, llrs)

    @classmethod
    def joined(cls, parts: Sequence["Pairs"]) -> "Pairs":
        """Return all pairs of several encoders, at least one."""
        llrs = [part.llrs for part in parts if part.llrs is not None]
        return cls(
            np.concatenate([part.first for part in parts]),
            np.concatenate([part.second for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate(llrs) if len(llrs) == len(parts) else None,
        )

    def only(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> "Pairs":
        """Return the pairs that a mask, (pairs,), or indices choose."""
        llrs = None if self.llrs is None else self.llrs[chosen]
        return Pairs(self.first[chosen], self.second[chosen], self.scores[chosen], llrs)

    @property
    def same(self) -> NDArray[np.bool_]:
        """Whether each pair has one speaker."""
        same: NDArray[np.bool_] = self.first == self.second
        return same

    @property
    def has_both_kinds(self) -> bool:
        """Whether there are pairs of one speaker and pairs of two; without both there are no error rates."""
        same = self.same
        return bool(same.any() and not same.all())


def intervals(
    pairs: Pairs,
    statistics: Callable[[Floats], Sequence[float]],
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = SEED,
) -> list[Interval]:
    """Return a bootstrap confidence interval of each of several statistics.

    Speakers are resampled with replacement, because pairs that share a speaker are not independent. A speaker
    that is drawn twice counts as two speakers with the same recordings, which are not paired with each other.
    Resamples without pairs of both kinds are left out.

    Args:
        pairs: Pairs of both kinds.
        statistics: Computes the values from the weight of each pair, (pairs,).
        resamples: Number of bootstrap samples.
        level: Confidence level of the intervals.
        seed: Seed of the resampling.

    Returns:
        An interval for each value of `statistics`; none if there are fewer than `MIN_VOICES` voices, or if
        more than half of the resamples have not both kinds of pairs.
    """
    present = np.union1d(pairs.first, pairs.second)
    if len(present) < MIN_VOICES:
        return []
    first, second = np.searchsorted(present, pairs.first), np.searchsorted(present, pairs.second)
    same = pairs.same
    found: list[Sequence[float]] = []
    for drawn in draws(len(present), resamples, seed):
        weights = drawn[first] * np.where(same, 1.0, drawn[second])
        if weights[same].any() and weights[~same].any():
            found.append(statistics(weights))
    return quantiles(found, level) if len(found) > resamples / 2 else []
