"""Cluster the embeddings of windows into speakers, in memory linear in the number of embeddings.

Mirrors `filter_embeddings`, `assign_embeddings`, `constrained_argmax` and `__call__` of
`AgglomerativeClustering` and `VBxClustering` in `pyannote.audio.pipelines.clustering`, and `VBx` and
`cluster_vbx` in `pyannote.audio.utils.vbx`.

pyannote keeps the distance matrix (up to 10 GB for 10 hours), responsibilities of every pair for every
initial cluster, and copies of all embeddings. This module computes distances when they are needed and the
rest in blocks; results are equal up to the order of summation.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.cluster import hierarchy
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from pipelines.diarization.linkage import centroid_linkage
from pipelines.vendored.pyannote import PLDA, AgglomerativeClustering, VBxClustering, k_means, replace_linkage
from pipelines.window_outputs import WindowOutputs

MIN_ACTIVE_RATIO = 0.2
"""Least share of a window's frames with this speaker alone for a pair to be clustered, as in pyannote."""
MAX_FULL_MATRIX = 2_000
"""Most embeddings with a full distance matrix (16 MB); scipy holds the GIL while it computes."""
BLOCK = 4_096
"""Rows in a block of an intermediate array."""
BLOCK_CELLS = 1_000_000
"""Numbers in a block of an intermediate array with one column per cluster."""
INIT_SMOOTHING, MAX_ITERATIONS, MIN_GAIN = 7.0, 20, 1e-4
MIN_PRIOR = 1e-7
"""pyannote's parameters of VBx; speakers whose prior is not above the last are dropped."""
UNASSIGNED = -2
"""Cluster of a pair in a window with more speakers than there are clusters."""

Floats = NDArray[np.float64]


def linkage(embeddings: np.ndarray, method: str, metric: str, *, overwrite: bool = False) -> Floats:
    """Compute scipy's `linkage`, for centroids of many embeddings without a distance matrix.

    If `overwrite` is true, the function may compute in `embeddings`, (embeddings, dimension).
    """
    if len(embeddings) > MAX_FULL_MATRIX and (method, metric) == ("centroid", "euclidean"):
        return centroid_linkage(embeddings, overwrite=overwrite)
    tree: Floats = hierarchy.linkage(embeddings, method=method, metric=metric)
    return tree


replace_linkage(linkage)


def cluster(
    clustering: AgglomerativeClustering | VBxClustering, outputs: WindowOutputs, bounds: tuple[int, float]
) -> NDArray[np.intp]:
    """Assign a cluster to each pair, as pyannote's clustering with these hyperparameters does.

    With `constrained_assignment`, the speakers of a window get distinct clusters; VBx always does that.

    With fewer usable embeddings than requested speakers it finds fewer speakers; pyannote's VBx raises there.

    Args:
        clustering: Instantiated clustering of pyannote.
        outputs: Outputs of all windows of a recording.
        bounds: Minimum and maximum number of speakers.

    Returns:
        Clusters from 0, (pairs,); `UNASSIGNED` for excess pairs of a window with more speakers than clusters.
    """
    long_enough = outputs.frames_alone >= MIN_ACTIVE_RATIO * outputs.frames
    usable = np.flatnonzero(long_enough & ~np.isnan(outputs.embeddings).any(axis=1))
    limit = max(1, len(usable))
    least, most = int(min(bounds[0], limit)), int(min(bounds[1], limit))
    agglomerative = isinstance(clustering, AgglomerativeClustering)
    if len(usable) < 2 or (most < 2 and agglomerative):
        return np.zeros(len(outputs.windows), np.intp)
    if agglomerative:
        exactly = least if least == most else None
        labels = clustering.cluster(outputs.embeddings[usable], least, most, exactly)
    else:
        centroids = _vbx_centroids(clustering, outputs.embeddings, usable)
        wanted = min(max(len(centroids), least), most)
        if wanted == len(centroids):
            return assign_distinct(outputs, similarities_to(outputs.embeddings, centroids))
        kmeans = k_means(n_clusters=wanted, n_init=3, random_state=42, copy_x=False)
        labels = kmeans.fit_predict(normalize_rows(outputs.embeddings[usable]))
    centroids = _centroids(outputs.embeddings, usable, labels)
    similarities = similarities_to(outputs.embeddings, centroids)
    if agglomerative and clustering.constrained_assignment:
        return assign_distinct(outputs, similarities)
    nearest: NDArray[np.intp] = similarities.argmax(axis=1)
    return nearest


def normalize_rows(embeddings: np.ndarray) -> np.ndarray:
    """Scale the rows to unit length, in place, and return the array."""
    for rows in _blocks(len(embeddings)):
        embeddings[rows] /= np.linalg.norm(embeddings[rows], axis=1, keepdims=True)
    return embeddings


def similarities_to(embeddings: np.ndarray, centroids: np.ndarray) -> Floats:
    """Return 2 - cosine distance, (pairs, clusters)."""
    return np.concatenate(
        [2 - cdist(embeddings[rows], centroids, "cosine") for rows in _blocks(len(embeddings))]
    )


def _centroids(embeddings: np.ndarray, usable: NDArray[np.intp], labels: np.ndarray) -> np.ndarray:
    """Return the mean of the usable embeddings with each label, (clusters, dimension)."""
    return np.vstack([embeddings[usable[labels == label]].mean(axis=0) for label in range(labels.max() + 1)])


def has_voice(outputs: WindowOutputs) -> NDArray[np.bool_]:
    """Return which pairs have an embedding with a direction, (pairs,)."""
    has: NDArray[np.bool_] = np.linalg.norm(outputs.embeddings, axis=1) > 0  # false for NaN
    return has


def voices_of(outputs: WindowOutputs, clusters: np.ndarray) -> dict[int, NDArray[np.float32]]:
    """Average the unit embeddings of each cluster: length 1, (dimension,), by cluster.

    Like the centroids of the clustering, they are of the pairs that are long enough to be clustered, if there
    are any. A cluster without embeddings has no voice.
    """
    valid = has_voice(outputs)
    long_enough = outputs.frames_alone >= MIN_ACTIVE_RATIO * outputs.frames
    voices = dict[int, NDArray[np.float32]]()
    for cluster in np.unique(clusters[valid & (clusters != UNASSIGNED)]).tolist():
        own = valid & (clusters == cluster)
        chosen = own & long_enough if (own & long_enough).any() else own
        mean = normalize_rows(outputs.embeddings[chosen]).mean(axis=0)
        if length := float(np.linalg.norm(mean)):
            voices[cluster] = mean / length
    return voices


def assign_distinct(outputs: WindowOutputs, similarities: Floats) -> NDArray[np.intp]:
    """Assign distinct clusters to the pairs of each window so that their total similarity is largest."""
    similarities = np.nan_to_num(similarities, nan=np.nanmin(similarities))
    clusters = np.full(len(similarities), UNASSIGNED)
    starts = np.flatnonzero(np.diff(outputs.windows, prepend=-1))
    for start, stop in zip(starts, [*starts[1:], len(similarities)], strict=True):
        pairs, assigned = linear_sum_assignment(similarities[start:stop], maximize=True)
        clusters[start + pairs] = assigned
    return clusters


def _vbx_centroids(clustering: VBxClustering, embeddings: np.ndarray, usable: NDArray[np.intp]) -> np.ndarray:
    """Return the centroid of every speaker that VBx keeps, (clusters, dimension)."""
    tree = linkage(normalize_rows(embeddings[usable]), method="centroid", metric="euclidean", overwrite=True)
    initial = hierarchy.fcluster(tree, clustering.threshold, criterion="distance") - 1
    _, initial = np.unique(initial, return_inverse=True)
    del tree
    # In blocks, because a copy of the usable embeddings would double the memory.
    phi = clustering.plda.phi
    features = np.empty((len(usable), len(phi)))
    for rows in _blocks(len(usable)):
        features[rows] = clustering.plda(embeddings[usable[rows]])
    weights = responsibilities(initial, features, phi, clustering.Fa, clustering.Fb)
    sums = np.zeros((weights.shape[1], embeddings.shape[1]))
    for rows in _blocks(len(usable)):
        sums += weights[rows].T @ embeddings[usable[rows]]
    means: np.ndarray = sums / weights.sum(axis=0, keepdims=True).T
    return means


def responsibilities(initial: np.ndarray, features: Floats, phi: Floats, fa: float, fb: float) -> Floats:
    """Run VBx (Landini et al. 2022, https://arxiv.org/abs/2012.14952) from initial clusters.

    The equations and their order are those of `pyannote.audio.utils.vbx`; the comments give their numbers in
    the paper.

    Args:
        initial: Initial cluster of each embedding, from 0, (embeddings,).
        features: Embeddings in PLDA space, (embeddings, dimension).
        phi: Between-speaker variances in that space, (dimension,).
        fa: Scale of the sufficient statistics.
        fb: Speaker regularization; a higher value keeps fewer speakers.

    Returns:
        Responsibility of each remaining speaker for each embedding, (embeddings, speakers).
    """
    clusters = int(initial.max()) + 1
    blocks = list(_blocks(len(features), max(1, BLOCK_CELLS // clusters)))
    prior = np.full(clusters, 1 / clusters)
    # Initial responsibilities: softmax of INIT_SMOOTHING for the initial cluster and 0 for the others.
    off = np.exp(-INIT_SMOOTHING) / (1 + (clusters - 1) * np.exp(-INIT_SMOOTHING))
    on = off * np.exp(INIT_SMOOTHING)
    counts = np.bincount(initial, minlength=clusters) * (on - off) + len(initial) * off
    sums = np.zeros((clusters, len(phi)))
    for rows in _blocks(len(features)):
        scaled = features[rows] * np.sqrt(phi)
        sums += off * scaled.sum(axis=0)
        np.add.at(sums, initial[rows], (on - off) * scaled)
    elbos: list[float] = []
    for _ in range(MAX_ITERATIONS):
        precision = 1.0 / (1 + fa / fb * counts[:, None] * phi)  # (17)
        model = fa / fb * precision * sums  # (16)
        log_prior, likelihood = np.log(prior + 1e-8), 0.0
        counts, sums = np.zeros(clusters), np.zeros_like(sums)
        for rows in blocks:
            weights, marginals = _expectation(features[rows], phi, fa, precision, model, log_prior)
            likelihood += marginals.sum()
            counts += weights.sum(axis=0)
            sums += weights.T @ (features[rows] * np.sqrt(phi))
        prior = counts / counts.sum()
        # (25)
        elbos.append(likelihood + fb * 0.5 * np.sum(np.log(precision) - precision - model**2 + 1))
        if len(elbos) > 1 and elbos[-1] - elbos[-2] < MIN_GAIN:
            break
    kept = prior > MIN_PRIOR
    return np.concatenate(
        [_expectation(features[rows], phi, fa, precision, model, log_prior)[0][:, kept] for rows in blocks]
    )


def _expectation(
    features: Floats, phi: Floats, fa: float, precision: Floats, model: Floats, log_prior: Floats
) -> tuple[Floats, Floats]:
    """Return the responsibilities (rows, clusters) and each row's log marginal likelihood (rows,)."""
    constant = -0.5 * ((features**2).sum(axis=1, keepdims=True) + features.shape[1] * np.log(2 * np.pi))
    rho = features * np.sqrt(phi)  # (18)
    scores = fa * (rho @ model.T - 0.5 * (precision + model**2) @ phi + constant) + log_prior  # (23)
    marginals = logsumexp(scores, axis=1)
    return np.exp(scores - marginals[:, None]), marginals


def _blocks(rows: int, block: int = BLOCK) -> Iterator[slice]:
    return (slice(start, start + block) for start in range(0, rows, block))


class NoPlda(PLDA):  # type: ignore[misc]
    """Placeholder for agglomerative clustering, which uses no PLDA, but for which pyannote would download one
    (https://github.com/pyannote/pyannote-audio/issues/2044)."""

    def __init__(self) -> None:
        """Load nothing."""
