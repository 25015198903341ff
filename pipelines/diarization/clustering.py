"""From the voices of windows to speakers: pyannote's two clusterings, in memory that grows with the pairs.

pyannote keeps the distances of all pairs (10 hours: up to 10 GB), responsibilities of every pair for every
first cluster, and copies of all embeddings. Here distances are computed as they are needed and the rest is
done in blocks; the numbers are the same up to the order of sums.
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

ACTIVE_SHARE = 0.2
"""Of a window's frames, that a speaker talks alone in a pair which clusters are made of; pyannote's value."""
DISTANCES_UP_TO = 2_000
"""Pairs of which all distances are kept (16 MB); scipy holds the interpreter for as long as it takes."""
BLOCK = 4_096
"""Rows of an intermediate."""
CELLS = 1_000_000
"""Numbers of an intermediate whose rows are as long as there are clusters."""
SMOOTHING, ITERATIONS, LEAST_GAIN = 7.0, 20, 1e-4
KEPT_PRIOR = 1e-7
"""VBx with the values that pyannote gives it."""
NOBODY = -2

Floats = NDArray[np.float64]


def linkage(embeddings: np.ndarray, method: str, metric: str, *, overwrite: bool = False) -> Floats:
    """scipy's function; of many vectors and their centroids without the distances of all pairs.

    Where `overwrite` is true it may compute in the vectors.
    """
    if len(embeddings) > DISTANCES_UP_TO and (method, metric) == ("centroid", "euclidean"):
        return centroid_linkage(embeddings, overwrite=overwrite)
    scipys: Floats = hierarchy.linkage(embeddings, method=method, metric=metric)
    return scipys


replace_linkage(linkage)


def cluster(
    clustering: AgglomerativeClustering | VBxClustering, findings: WindowOutputs, bounds: tuple[int, float]
) -> NDArray[np.intp]:
    """The speaker of each pair, as pyannote's clustering with these hyper-parameters finds it.

    Where there are fewer usable voices than speakers asked for, fewer are answered; pyannote's VBx ends in
    an error there.

    Returns:
        (pairs,), from 0; -2 where more talk in a window than there are speakers.
    """
    long_enough = findings.frames_alone >= ACTIVE_SHARE * findings.frames
    usable = np.flatnonzero(long_enough & ~np.isnan(findings.embeddings).any(axis=1))
    voices = max(1, len(usable))
    least, most = int(min(bounds[0], voices)), int(min(bounds[1], voices))
    agglomerative = isinstance(clustering, AgglomerativeClustering)
    if len(usable) < 2 or (most < 2 and agglomerative):
        return np.zeros(len(findings.windows), np.intp)
    if agglomerative:
        exactly = least if least == most else None
        labels = clustering.cluster(findings.embeddings[usable], least, most, exactly)
        return _nearest(findings.embeddings, _means(findings.embeddings[usable], labels))
    centroids = _vbx_centroids(clustering, findings.embeddings, usable)
    wanted = min(max(len(centroids), least), most)
    if wanted == len(centroids):
        return _one_each(findings, _similarities(findings.embeddings, centroids))
    by_number = k_means(n_clusters=wanted, n_init=3, random_state=42, copy_x=False)
    labels = by_number.fit_predict(_unit(findings.embeddings[usable]))
    return _nearest(findings.embeddings, _means(findings.embeddings[usable], labels))


def _unit(embeddings: np.ndarray) -> np.ndarray:
    """The same array, its rows made unit vectors."""
    for rows in _blocks(len(embeddings)):
        embeddings[rows] /= np.linalg.norm(embeddings[rows], axis=1, keepdims=True)
    return embeddings


def _means(embeddings: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.vstack([embeddings[labels == label].mean(axis=0) for label in range(labels.max() + 1)])


def _similarities(embeddings: np.ndarray, centroids: np.ndarray) -> Floats:
    """2 - cosine distance: (pairs, clusters)."""
    return np.concatenate(
        [2 - cdist(embeddings[rows], centroids, "cosine") for rows in _blocks(len(embeddings))]
    )


def _nearest(embeddings: np.ndarray, centroids: np.ndarray) -> NDArray[np.intp]:
    nearest: NDArray[np.intp] = _similarities(embeddings, centroids).argmax(axis=1)
    return nearest


def _one_each(findings: WindowOutputs, similarities: Floats) -> NDArray[np.intp]:
    """The clusters of the pairs of each window, all different, that are nearest together."""
    similarities = np.nan_to_num(similarities, nan=np.nanmin(similarities))
    clusters = np.full(len(similarities), NOBODY)
    starts = np.flatnonzero(np.diff(findings.windows, prepend=-1))
    for start, stop in zip(starts, [*starts[1:], len(similarities)], strict=True):
        pairs, found = linear_sum_assignment(similarities[start:stop], maximize=True)
        clusters[start + pairs] = found
    return clusters


def _vbx_centroids(clustering: VBxClustering, embeddings: np.ndarray, usable: NDArray[np.intp]) -> np.ndarray:
    """The mean voice of every speaker whom VBx keeps: (clusters, dimension)."""
    tree = linkage(_unit(embeddings[usable]), method="centroid", metric="euclidean", overwrite=True)
    first = hierarchy.fcluster(tree, clustering.threshold, criterion="distance") - 1
    _, first = np.unique(first, return_inverse=True)
    del tree
    # Block by block: a copy of what is usable would be as large as all that is kept beside it.
    phi = clustering.plda.phi
    features = np.empty((len(usable), len(phi)))
    for rows in _blocks(len(usable)):
        features[rows] = clustering.plda(embeddings[usable[rows]])
    weights = responsibilities(first, features, phi, clustering.Fa, clustering.Fb)
    sums = np.zeros((weights.shape[1], embeddings.shape[1]))
    for rows in _blocks(len(usable)):
        sums += weights[rows].T @ embeddings[usable[rows]]
    means: np.ndarray = sums / weights.sum(axis=0, keepdims=True).T
    return means


def responsibilities(first: np.ndarray, features: Floats, phi: Floats, fa: float, fb: float) -> Floats:
    """VBx (Landini et al. 2022, https://arxiv.org/abs/2012.14952), from given clusters.

    The equations and their order are those of `pyannote.audio.utils.vbx`; their numbers in the comments are
    the paper's.

    Args:
        first: The cluster of each voice to begin with, from 0.
        features: The voices in the space of the PLDA, (voices, dimension).
        phi: The variances between speakers in that space, (dimension,).
        fa: Scale of the statistics.
        fb: Higher keeps fewer speakers.

    Returns:
        How much each voice belongs to each speaker that is kept: (voices, speakers).
    """
    clusters = int(first.max()) + 1
    blocks = list(_blocks(len(features), max(1, CELLS // clusters)))
    prior = np.full(clusters, 1 / clusters)
    # Softmax of SMOOTHING in the first cluster's place and 0 in the others.
    off = np.exp(-SMOOTHING) / (1 + (clusters - 1) * np.exp(-SMOOTHING))
    on = off * np.exp(SMOOTHING)
    counts = np.bincount(first, minlength=clusters) * (on - off) + len(first) * off
    sums = np.zeros((clusters, len(phi)))
    for rows in _blocks(len(features)):
        scaled = features[rows] * np.sqrt(phi)
        sums += off * scaled.sum(axis=0)
        np.add.at(sums, first[rows], (on - off) * scaled)
    bounds: list[float] = []
    for _ in range(ITERATIONS):
        precision = 1.0 / (1 + fa / fb * counts[:, None] * phi)  # (17)
        model = fa / fb * precision * sums  # (16)
        before, likelihood = np.log(prior + 1e-8), 0.0
        counts, sums = np.zeros(clusters), np.zeros_like(sums)
        for rows in blocks:
            weights, marginals = _expected(features[rows], phi, fa, precision, model, before)
            likelihood += marginals.sum()
            counts += weights.sum(axis=0)
            sums += weights.T @ (features[rows] * np.sqrt(phi))
        prior = counts / counts.sum()
        # (25)
        bounds.append(likelihood + fb * 0.5 * np.sum(np.log(precision) - precision - model**2 + 1))
        if len(bounds) > 1 and bounds[-1] - bounds[-2] < LEAST_GAIN:
            break
    kept = prior > KEPT_PRIOR
    return np.concatenate(
        [_expected(features[rows], phi, fa, precision, model, before)[0][:, kept] for rows in blocks]
    )


def _expected(
    features: Floats, phi: Floats, fa: float, precision: Floats, model: Floats, before: Floats
) -> tuple[Floats, Floats]:
    """Responsibilities (rows, clusters) and the logarithm of what each row's marginal likelihood is."""
    constant = -0.5 * ((features**2).sum(axis=1, keepdims=True) + features.shape[1] * np.log(2 * np.pi))
    rho = features * np.sqrt(phi)  # (18)
    scores = fa * (rho @ model.T - 0.5 * (precision + model**2) @ phi + constant) + before  # (23)
    marginals = logsumexp(scores, axis=1)
    return np.exp(scores - marginals[:, None]), marginals


def _blocks(rows: int, block: int = BLOCK) -> Iterator[slice]:
    return (slice(start, start + block) for start in range(0, rows, block))


class NoPlda(PLDA):  # type: ignore[misc]
    """Stands where agglomerative clustering needs no PLDA but pyannote would download one
    (https://github.com/pyannote/pyannote-audio/issues/2044)."""

    def __init__(self) -> None:
        """Load nothing."""
