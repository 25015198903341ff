"""How far probabilities are from the shares that they predict."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BINS = 10


class Bins(NamedTuple):
    """The filled ones of `BINS` equally wide bins of probabilities."""

    predicted: Floats
    """Mean probability in each bin."""
    observed: Floats
    """Share of each bin that came true."""
    share: Floats
    """Share of the probabilities that are in each bin; they sum to 1."""


def reliability(probabilities: Floats, true: NDArray[np.bool_], weights: Floats | None = None) -> Bins:
    """Sort probabilities into bins and compare them with what came true.

    Args:
        probabilities: Of each event, (events,), 0..1.
        true: Whether the event came true, (events,).
        weights: Weight of each event, (events,). None: 1.
    """
    counts = np.ones(len(probabilities)) if weights is None else weights
    number = np.minimum((np.asarray(probabilities) * BINS).astype(int), BINS - 1)
    total = np.bincount(number, counts, BINS)
    filled = total > 0
    predicted = np.bincount(number, counts * probabilities, BINS)[filled] / total[filled]
    observed = np.bincount(number, counts * true, BINS)[filled] / total[filled]
    return Bins(predicted, observed, total[filled] / total.sum())


def calibration_error(bins: Bins) -> float:
    """Return the expected calibration error: the mean difference of predicted and observed share, 0..1."""
    return float((bins.share * np.abs(bins.predicted - bins.observed)).sum())
