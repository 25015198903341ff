"""Cluster voices to the number of speakers that the caller asks for.

pyannote's clustering reads only the speakers who talk alone for a fifth of a window of 10 s, and drops
clusters of few windows, so short turns and short recordings have fewer speakers than the segmentation tells
apart. Here every speaker of a window counts, by the frames in which it talks alone, and the speakers of one
window are different ones.
"""

import numpy as np
from numpy.typing import NDArray

from pipelines.diarization.clustering import (
    UNASSIGNED,
    assign_distinct,
    has_voice,
    normalize_rows,
    similarities_to,
)
from pipelines.vendored.pyannote import k_means
from pipelines.window_outputs import WindowOutputs

ENOUGH_FRAMES = 60
"""Frames alone, about a second, from which on more of them count no more: a long monologue would otherwise be
divided before a short turn of somebody else gets a cluster."""
MAX_ROUNDS = 10
"""Most rounds of assigning the pairs to centroids and computing those anew."""


def cluster_to(outputs: WindowOutputs, speakers: int) -> NDArray[np.intp]:
    """Assign each pair to one of so many clusters, the pairs of a window to different ones.

    K-means on unit vectors, weighted by the frames alone, whose assignment step is that of whole windows.
    Excess pairs of a window with more speakers than clusters get the nearest one.

    Args:
        outputs: Outputs of all windows of a recording, with at least one pair.
        speakers: Number of clusters, >= 1.

    Returns:
        Clusters from 0, (pairs,). There are fewer than `speakers` where there are fewer different embeddings.
    """
    valid = np.flatnonzero(has_voice(outputs))
    if speakers == 1 or len(valid) == 0:
        return np.zeros(len(outputs.windows), np.intp)
    # A pair that never talks alone still has a voice.
    weights = outputs.frames_alone[valid].clip(1, ENOUGH_FRAMES).astype(np.float64)
    voices = normalize_rows(outputs.embeddings[valid])
    different = len(np.unique(voices, axis=0))
    kmeans = k_means(n_clusters=min(speakers, different), n_init=3, random_state=42)
    centroids = kmeans.fit(voices, sample_weight=weights).cluster_centers_.astype(np.float64)
    clusters = np.full(len(outputs.windows), UNASSIGNED)
    for _ in range(MAX_ROUNDS):
        similarities = similarities_to(outputs.embeddings, centroids)
        before, clusters = clusters, assign_distinct(outputs, similarities)
        if (before == clusters).all():
            break
        for cluster in np.unique(clusters[valid][clusters[valid] != UNASSIGNED]):
            own = clusters[valid] == cluster
            centroids[cluster] = weights[own] @ voices[own] / weights[own].sum()
    excess = clusters == UNASSIGNED
    clusters[excess] = np.nan_to_num(similarities[excess], nan=-np.inf).argmax(axis=1)
    return clusters
