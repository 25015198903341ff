"""Thresholds that hardly any recording of any source passes, and what a source left out shows of them."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def threshold_above(scores: Mapping[str, Floats], share: float) -> float:
    """Return the lowest score that at most a share of the recordings of every source exceeds.

    Args:
        scores: Scores of the recordings of each source, at least one source with at least one recording.
        share: Share that may exceed the threshold, 0 to 1.
    """
    return max(_of_one(values, share) for values in scores.values())


def threshold_below(scores: Mapping[str, Floats], share: float) -> float:
    """Return the highest score that at most a share of the recordings of every source is below."""
    return -threshold_above({name: -values for name, values in scores.items()}, share)


def left_out(scores: Mapping[str, Floats], share: float) -> dict[str, float]:
    """Return for each source the share that exceeds the threshold which the other sources give.

    It says what a source that nobody has seen would do; it is empty if there is only one source.
    """
    if len(scores) < 2:
        return {}
    return {
        name: float((values > threshold_above(_without(scores, name), share)).mean())
        for name, values in scores.items()
    }


def _without(scores: Mapping[str, Floats], name: str) -> dict[str, Floats]:
    return {other: values for other, values in scores.items() if other != name}


def _of_one(values: Floats, share: float) -> float:
    ordered = np.sort(values)
    # Counts instead of quantiles, which interpolate: `allowed` of the values may exceed the threshold.
    allowed = int(np.floor(share * len(ordered) + 1e-9))
    return float(ordered[max(len(ordered) - 1 - allowed, 0)])
