"""Compute centroid linkage of many vectors without a distance matrix.

Replaces `scipy.cluster.hierarchy.linkage` in pyannote's clustering.
"""

import numpy as np
from numpy.typing import NDArray

BLOCK = 1_024
"""Rows and columns of a block of distances in the initial search."""
SEARCH_BATCH = 8
"""Clusters whose nearest neighbour is searched again at a time: so few rows cost little more than one."""


def centroid_linkage(vectors: np.ndarray, *, overwrite: bool = False) -> NDArray[np.float64]:
    """Compute `scipy.cluster.hierarchy.linkage(vectors, "centroid", "euclidean")` in linear memory.

    Uses the generic algorithm of Müllner 2011 (https://arxiv.org/abs/1109.2378, figure 3) on the centroids.
    NumPy's matrix products release the GIL.

    Args:
        vectors: (vectors, dimension), at least 2, with norms of about 1, float32 or float64, which is also
            the dtype of the computation. In float32, pairs whose squared distances differ by less than 1e-6
            may merge in either order.
        overwrite: Whether to compute in `vectors`, which must be C-contiguous, instead of a copy.

    Returns:
        The tree in scipy's format, (vectors - 1, 4): the two merged clusters, their distance, and the number
        of vectors in the new cluster.
    """
    clusters = _ActiveClusters(vectors if overwrite else np.array(vectors, order="C"))
    tree = np.empty((len(vectors) - 1, 4))
    for step in range(len(tree)):
        tree[step] = clusters.merge(len(vectors) + step)
    return tree


class _ActiveClusters:
    """Clusters that are not merged yet: the first `count` rows of each array. Computes in `vectors`."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.count = len(vectors)
        self.centroids = vectors
        self.squares = np.einsum("nd,nd->n", self.centroids, self.centroids)
        self.numbers, self.sizes = np.arange(self.count), np.ones(self.count, np.intp)
        self.bound = np.full(self.count, np.inf, vectors.dtype)
        """Lower bound of the squared distance to the nearest other cluster."""
        self.nearest = np.full(self.count, -1)
        """Index of the cluster at exactly the distance `bound`; -1 if it must be searched again."""
        for start in range(0, self.count, BLOCK):
            rows = np.arange(start, min(start + BLOCK, self.count))
            for other in range(start, self.count, BLOCK):
                columns = slice(other, min(other + BLOCK, self.count))
                distances = self._distances(rows, columns)
                self._improve(rows, distances, columns.start)
                if other > start:
                    self._improve(np.arange(columns.start, columns.stop), distances.T, start)

    def merge(self, number: int) -> tuple[float, float, float, float]:
        """Merge the two nearest clusters into one with this number and return the row of the tree."""
        one, other = sorted(self._nearest_pair())
        sizes = self.sizes[[one, other]]
        first, second = self.centroids[[one, other]].astype(np.float64)
        low, high = sorted(self.numbers[[one, other]])
        self.numbers[one], self.sizes[one] = number, sizes.sum()
        self.centroids[one] = (sizes[0] * first + sizes[1] * second) / sizes.sum()
        self.squares[one] = self.centroids[one] @ self.centroids[one]
        self._remove(one, other)
        if self.count > 1:
            self._update_nearest(one)
        return low, high, float(np.linalg.norm(first - second)), sizes.sum()

    def _nearest_pair(self) -> tuple[int, int]:
        while True:
            one = int(self.bound[: self.count].argmin())
            if self.nearest[one] >= 0:
                return one, int(self.nearest[one])
            unknown = np.flatnonzero(self.nearest[: self.count] < 0)
            if len(unknown) > SEARCH_BATCH:
                unknown = unknown[np.argpartition(self.bound[unknown], SEARCH_BATCH)[:SEARCH_BATCH]]
            self.bound[unknown] = np.inf
            self._improve(unknown, self._distances(unknown, slice(0, self.count)), 0)

    def _remove(self, one: int, other: int) -> None:
        """Remove `other`, which was merged into `one`; the last cluster takes its row."""
        self.count -= 1
        nearest = self.nearest[: self.count + 1]
        nearest[(nearest == one) | (nearest == other)] = -1
        for values in (self.centroids, self.squares, self.numbers, self.sizes, self.bound, self.nearest):
            values[other] = values[self.count]
        nearest[nearest == self.count] = other

    def _update_nearest(self, new: int) -> None:
        """Set the nearest neighbour of a new cluster, and update that of the clusters nearer to it."""
        (distances,) = self._distances(np.array([new]), slice(0, self.count))
        self.nearest[new] = distances.argmin()
        self.bound[new] = distances[self.nearest[new]]
        nearer = np.flatnonzero(distances < self.bound[: self.count])
        self.bound[nearer], self.nearest[nearer] = distances[nearer], new

    def _distances(self, rows: NDArray[np.intp], columns: slice) -> np.ndarray:
        """Return squared distances, (rows, columns); infinite from a cluster to itself."""
        distances: np.ndarray = self.centroids[rows] @ self.centroids[columns].T
        distances *= -2
        distances += self.squares[rows, None]
        distances += self.squares[columns]
        inside = np.flatnonzero((rows >= columns.start) & (rows < columns.stop))
        distances[inside, rows[inside] - columns.start] = np.inf
        return distances

    def _improve(self, rows: NDArray[np.intp], distances: np.ndarray, start: int) -> None:
        """Update the nearest neighbours of `rows` from distances to the clusters from index `start` on."""
        found = distances.argmin(axis=1)
        least = distances[np.arange(len(rows)), found]
        nearer = least < self.bound[rows]
        self.bound[rows[nearer]], self.nearest[rows[nearer]] = least[nearer], found[nearer] + start
