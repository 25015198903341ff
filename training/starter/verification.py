"""Metrics of speaker verification: error rates, detection cost, and their confidence intervals."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


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
    """All pairs of a set of recordings."""

    first: NDArray[np.intp]
    """Index of the speaker of the first recording, (pairs,)."""
    second: NDArray[np.intp]
    scores: Floats

    @classmethod
    def of(cls, vectors: NDArray[np.floating], voices: NDArray[np.intp]) -> "Pairs":
        """Score all pairs of embeddings, (recordings, dimension), by their cosine."""
        unit = np.asarray(vectors, np.float64)
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        first, second = np.triu_indices(len(unit), 1)
        return cls(voices[first], voices[second], (unit @ unit.T)[first, second])

    @property
    def same(self) -> NDArray[np.bool_]:
        """Whether each pair has one speaker."""
        same: NDArray[np.bool_] = self.first == self.second
        return same


def interval(
    pairs: Pairs,
    statistic: Callable[[Rates], float],
    resamples: int = 300,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Return a bootstrap confidence interval of a statistic.

    Speakers are resampled with replacement, because pairs that share a speaker are not independent. A speaker
    that is drawn twice counts as two speakers with the same recordings, which are not paired with each other.

    Args:
        pairs: Pairs with at least two speakers.
        statistic: `equal_error_rate`, `min_dcf` or another function of the rates.
        resamples: Number of bootstrap samples.
        level: Confidence level of the interval.
        seed: Seed of the resampling.

    Returns:
        The lower and the upper end.
    """
    generator = np.random.default_rng(seed)
    trials, voices, same = Trials(pairs.same, pairs.scores), int(pairs.second.max()) + 1, pairs.same
    found: list[float] = []
    while len(found) < resamples:
        drawn = generator.multinomial(voices, np.full(voices, 1 / voices)).astype(np.float64)
        weights = drawn[pairs.first] * np.where(same, 1.0, drawn[pairs.second])
        if weights[same].any() and weights[~same].any():
            found.append(statistic(trials.rates(weights)))
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
