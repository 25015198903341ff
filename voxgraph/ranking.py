"""The largest of many values."""

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.intp]
_COLUMNS = 1024
"""Fewest columns into which many values are laid out."""


def contenders(values: npt.NDArray[np.floating], count: int) -> Indices:
    """Return the indices, ascending, of the largest values and of all that equal the least of these.

    The values are laid out in columns. The count-th largest of the columns' maxima is no larger than the
    count-th largest value, and few values are as large.

    Args:
        values: Shape (n,), without NaN.
        count: Number of values, >= 1; values above n mean n.

    Returns:
        Shape (at least min(count, n),).
    """
    if count >= len(values):
        return np.arange(len(values))
    # With many more columns than `count`, few of the largest share one, so that little else is left.
    columns = max(_COLUMNS, 8 * count)
    rows = len(values) // columns
    found = np.arange(len(values))
    if rows > 1:
        maxima = values[: rows * columns].reshape(rows, columns).max(axis=0)
        found = np.flatnonzero(values >= np.partition(maxima, -count)[-count])
    chosen = values[found]
    highest: Indices = found[chosen >= np.partition(chosen, -count)[-count]]
    return highest


def largest(values: npt.NDArray[np.floating], count: int) -> Indices:
    """Return the indices of the largest values, in descending order; equal ones keep their order.

    Args:
        values: Shape (n,), without NaN.
        count: Number of indices, >= 1; values above n mean n.

    Returns:
        Shape (min(count, n),).
    """
    found = contenders(values, count)
    return found[np.argsort(-values[found], kind="stable")][:count]
