"""Centroid linkage of very many voices, without the distances of all pairs."""

import numpy as np
from numpy.typing import NDArray

BLOCK = 1_024
"""Vectors whose distances to as many others are computed at a time."""
SEARCHED = 8
"""Vectors whose nearest is searched anew at a time: a matrix of so few costs little more than one vector."""


def centroid_linkage(vectors: np.ndarray, *, overwrite: bool = False) -> NDArray[np.float64]:
    """`scipy.cluster.hierarchy.linkage(vectors, "centroid", "euclidean")`, in memory that grows with them.

    It is the generic algorithm of Müllner 2011 (https://arxiv.org/abs/1109.2378, figure 3) on the centroids
    themselves. NumPy's products let other threads run.

    Args:
        vectors: (vectors, dimension), at least 2, of norms about 1; float32 or float64, which is what it
            computes in. In float32 either of two pairs may come first whose squared distances differ by
            less than 1e-6.
        overwrite: Whether it may compute in `vectors`, C-contiguous, rather than in a copy.

    Returns:
        (vectors - 1, 4): the two clusters that become one, their distance, and how many vectors the new one
        has, in scipy's numbering.
    """
    live = _Clusters(vectors if overwrite else np.array(vectors, order="C"))
    tree = np.empty((len(vectors) - 1, 4))
    for step in range(len(tree)):
        tree[step] = live.merge(len(vectors) + step)
    return tree


class _Clusters:
    """What is not merged yet; the first `count` rows of each array, which begin with those of `vectors`."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.count = len(vectors)
        self.centroids = vectors
        self.squares = np.einsum("nd,nd->n", self.centroids, self.centroids)
        self.names, self.sizes = np.arange(self.count), np.ones(self.count, np.intp)
        self.bound = np.full(self.count, np.inf, vectors.dtype)
        """No other is nearer: squared distance."""
        self.nearest = np.full(self.count, -1)
        """Which one is exactly as far as `bound`; -1 where that has to be searched."""
        for start in range(0, self.count, BLOCK):
            rows = np.arange(start, min(start + BLOCK, self.count))
            for other in range(start, self.count, BLOCK):
                columns = slice(other, min(other + BLOCK, self.count))
                distances = self._distances(rows, columns)
                self._offer(rows, distances, columns.start)
                if other > start:
                    self._offer(np.arange(columns.start, columns.stop), distances.T, start)

    def merge(self, name: int) -> tuple[float, float, float, float]:
        """Make one cluster of the two that are nearest to each other: a row of the tree."""
        one, other = sorted(self._pair())
        sizes = self.sizes[[one, other]]
        first, second = self.centroids[[one, other]].astype(np.float64)
        low, high = sorted(self.names[[one, other]])
        self.names[one], self.sizes[one] = name, sizes.sum()
        self.centroids[one] = (sizes[0] * first + sizes[1] * second) / sizes.sum()
        self.squares[one] = self.centroids[one] @ self.centroids[one]
        self._drop(one, other)
        if self.count > 1:
            self._introduce(one)
        return low, high, float(np.linalg.norm(first - second)), sizes.sum()

    def _pair(self) -> tuple[int, int]:
        while True:
            one = int(self.bound[: self.count].argmin())
            if self.nearest[one] >= 0:
                return one, int(self.nearest[one])
            unknown = np.flatnonzero(self.nearest[: self.count] < 0)
            if len(unknown) > SEARCHED:
                unknown = unknown[np.argpartition(self.bound[unknown], SEARCHED)[:SEARCHED]]
            self.bound[unknown] = np.inf
            self._offer(unknown, self._distances(unknown, slice(0, self.count)), 0)

    def _drop(self, one: int, other: int) -> None:
        """Forget `other`, of which `one` has become a part; the last takes its place."""
        self.count -= 1
        nearest = self.nearest[: self.count + 1]
        nearest[(nearest == one) | (nearest == other)] = -1
        for values in (self.centroids, self.squares, self.names, self.sizes, self.bound, self.nearest):
            values[other] = values[self.count]
        nearest[nearest == self.count] = other

    def _introduce(self, new: int) -> None:
        """Let a new cluster and the others know how far they are apart."""
        (distances,) = self._distances(np.array([new]), slice(0, self.count))
        self.nearest[new] = distances.argmin()
        self.bound[new] = distances[self.nearest[new]]
        nearer = np.flatnonzero(distances < self.bound[: self.count])
        self.bound[nearer], self.nearest[nearer] = distances[nearer], new

    def _distances(self, rows: NDArray[np.intp], columns: slice) -> np.ndarray:
        """Squared, (rows, columns); infinite from a cluster to itself."""
        distances: np.ndarray = self.centroids[rows] @ self.centroids[columns].T
        distances *= -2
        distances += self.squares[rows, None]
        distances += self.squares[columns]
        inside = np.flatnonzero((rows >= columns.start) & (rows < columns.stop))
        distances[inside, rows[inside] - columns.start] = np.inf
        return distances

    def _offer(self, rows: NDArray[np.intp], distances: np.ndarray, start: int) -> None:
        """Take the nearest of some that begin at `start`, where they are nearer than what `rows` have."""
        found = distances.argmin(axis=1)
        least = distances[np.arange(len(rows)), found]
        nearer = least < self.bound[rows]
        self.bound[rows[nearer]], self.nearest[rows[nearer]] = least[nearer], found[nearer] + start
