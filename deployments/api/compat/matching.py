"""The nearest of many voices. Without torch, so that the ingress can ask.

`voxgraph.similarity.cosine` is the slow twin: one pair at a time.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from voxgraph.errors import SpaceMismatch

Floats = npt.NDArray[np.float64]

DIGITS = 12
"""Decimals of a similarity. Rounding errors end below them, so equal voices are at 1.0 and equals tie."""

_SMALL, _LARGE = 1e-200, 1e200
"""Squares of lengths between which no product of two vectors comes near the ends of double precision."""


class Space(NamedTuple):
    """Where a vector comes from, as far as its owner says; None is not said."""

    model: str | None = None
    revision: str | None = None


def check_space(a: Space, b: Space, name: str) -> None:
    """Refuse two vectors that are said to be of different spaces.

    Args:
        a: Of the one vector.
        b: Of the other vector.
        name: What the caller calls the other vector.

    Raises:
        SpaceMismatch: Both name a model, or both a revision, and not the same.
    """
    for one, other in zip(a, b, strict=True):
        if one is not None and other is not None and one != other:
            raise SpaceMismatch(
                f"{name} is of {other!a}, it is compared with one of {one!a}, and these are "
                "different spaces: embed both recordings with one encoder."
            )


def cosines(query: Floats, vectors: Floats) -> Floats:
    """The cosine of the angle between one vector and each row of many.

    Each row is summed alone, so that a row's answer depends neither on its place nor on its neighbours.

    Args:
        query: Shape (dim,), any length that is not zero.
        vectors: Shape (n, dim), likewise.

    Returns:
        Shape (n,), -1..1, 1 is the same direction; NaN where the row, or the query, has no direction: it is
        zero, or has NaN or infinite numbers.
    """
    many, lengths = _measured(vectors)
    one, length = _measured(query[np.newaxis])
    found: Floats = np.vecdot(many, one[0]) / (lengths * length)
    return found.round(DIGITS).clip(-1.0, 1.0)


def nearest(similarities: Floats, count: int) -> npt.NDArray[np.intp]:
    """The places of the largest similarities, the largest first; of equals the first come first.

    Args:
        similarities: Shape (n,), n >= 1, without NaN.
        count: How many, >= 1; more than n is n.

    Returns:
        Shape (min(count, n),).
    """
    if count < len(similarities):
        least = np.partition(similarities, -count)[-count]
        candidates = np.flatnonzero(similarities >= least)
    else:
        candidates = np.arange(len(similarities))
    order = np.argsort(-similarities[candidates], kind="stable")
    return candidates[order][:count]


def _measured(vectors: Floats) -> tuple[Floats, Floats]:
    """The rows and their lengths. Rows whose squares would over- or underflow are scaled first."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.vecdot(vectors, vectors)
        extreme = ~((squares > _SMALL) & (squares < _LARGE))
        if extreme.any():
            vectors = vectors.copy()
            vectors[extreme] /= np.abs(vectors[extreme]).max(axis=1, keepdims=True)
            squares = np.vecdot(vectors, vectors)
    return vectors, np.sqrt(squares)
