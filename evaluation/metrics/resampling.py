"""Bootstrap confidence intervals in which the recordings of one voice stay together."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

RESAMPLES = 200
LEVEL = 0.95
SEED = 0
MIN_VOICES = 5
"""Number of voices below which there is no interval: a few, drawn again and again, say nothing of others."""


class Interval(NamedTuple):
    """Both ends of a confidence interval."""

    low: float
    high: float


def quantiles(values: ArrayLike, level: float = LEVEL) -> list[Interval]:
    """Return the interval that holds the middle share `level` of each column, (resamples, columns)."""
    low, high = np.quantile(np.asarray(values, np.float64), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return [Interval(float(a), float(b)) for a, b in zip(low, high, strict=True)]


def draws(clusters: int, resamples: int = RESAMPLES, seed: int = SEED) -> Iterable[Floats]:
    """Draw clusters with replacement; yields how often each is drawn, (clusters,), for each resample."""
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        yield generator.multinomial(clusters, np.full(clusters, 1 / clusters)).astype(np.float64)


def interval(
    statistic: Callable[[Floats], float | None],
    clusters: Sequence[Hashable],
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval | None:
    """Return the confidence interval of a statistic of weighted recordings.

    Args:
        statistic: Computes the value from the weight of each recording, (recordings,); None if it has none.
        clusters: Voice of each recording, (recordings,). Voices are drawn, because the recordings of one
            voice are not independent.
        resamples: Number of bootstrap samples.
        seed: Seed of the resampling.

    Returns:
        The interval; None if there are fewer than `MIN_VOICES` voices, or if the statistic has no value in
        more than half of the resamples.
    """
    index = {cluster: number for number, cluster in enumerate(dict.fromkeys(clusters))}
    if len(index) < MIN_VOICES:
        return None
    of_recording = np.array([index[cluster] for cluster in clusters])
    values = [statistic(drawn[of_recording]) for drawn in draws(len(index), resamples, seed)]
    found = [[value] for value in values if value is not None]
    return quantiles(found)[0] if len(found) > resamples / 2 else None
