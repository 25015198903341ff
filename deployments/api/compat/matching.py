"""Find the most similar of many voices. Needs no torch, because it runs in the ingress.

`voxgraph.similarity.cosine` does the same for one pair, more slowly.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from voxgraph.errors import SpaceMismatch

Floats = npt.NDArray[np.float64]

DECIMALS = 12
"""Decimals of a similarity. They hide rounding errors, so that equal voices score 1.0 and ties are exact."""

_MIN_SQUARE, _MAX_SQUARE = 1e-200, 1e200
"""Range of squared norms in which no product of two vectors over- or underflows in double precision."""


class Space(NamedTuple):
    """The embedding space of a vector: its encoder and checkpoint, None where unknown."""

    model: str | None = None
    revision: str | None = None


def check_space(a: Space, b: Space, name: str) -> None:
    """Check that two vectors do not name different spaces; `name` is the caller's name of the second.

    Raises:
        SpaceMismatch: Both name a model, or both a revision, and the names differ.
    """
    for one, other in zip(a, b, strict=True):
        if one is not None and other is not None and one != other:
            raise SpaceMismatch(
                f"{name} is of {other!a} but is compared with one of {one!a}, a different space: "
                "embed both recordings with one encoder."
            )


def cosines(query: Floats, vectors: Floats) -> Floats:
    """Return the cosine similarity of one vector to each row of a matrix.

    Each row is summed alone, so that its result does not depend on its position or its neighbours.

    Args:
        query: Shape (dim,), any norm that is not zero.
        vectors: Shape (n, dim), likewise.

    Returns:
        Shape (n,), -1..1, 1 is the same direction; NaN if the row or the query is zero or has NaN or infinite
        numbers.
    """
    vectors, norms = _with_norms(vectors)
    scaled_query, query_norm = _with_norms(query[np.newaxis])
    similarities: Floats = np.vecdot(vectors, scaled_query[0]) / (norms * query_norm)
    return similarities.round(DECIMALS).clip(-1.0, 1.0)


def _with_norms(vectors: Floats) -> tuple[Floats, Floats]:
    """Return the rows and their norms, after scaling the rows whose squares would over- or underflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.vecdot(vectors, vectors)
        extreme = ~((squares > _MIN_SQUARE) & (squares < _MAX_SQUARE))
        if extreme.any():
            vectors = vectors.copy()
            vectors[extreme] /= np.abs(vectors[extreme]).max(axis=1, keepdims=True)
            squares = np.vecdot(vectors, vectors)
    return vectors, np.sqrt(squares)
