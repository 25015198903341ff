"""Test that centroid linkage without a distance matrix equals scipy's."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.cluster import hierarchy

from pipelines.diarization import linkage
from pipelines.diarization.linkage import centroid_linkage

THRESHOLDS = np.arange(0.2, 1.4, 0.05)


def voices_of(count: int, voices: int, noise: float, seed: int, dimension: int = 32) -> np.ndarray:
    """Draw embeddings of some voices: (count, dimension), float64, of norm 1."""
    generator = np.random.default_rng(seed)
    means = generator.normal(size=(voices, dimension))
    vectors = means[generator.integers(voices, size=count)] + noise * generator.normal(
        size=(count, dimension)
    )
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def partition(tree: np.ndarray, threshold: float) -> set[frozenset[int]]:
    """Return the clusters under a distance, without their numbers."""
    labels = hierarchy.fcluster(tree, threshold, "distance")
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    count=st.integers(2, 300),
    voices=st.integers(1, 30),
    noise=st.sampled_from([0.05, 0.5, 2.0]),
    block=st.sampled_from([7, 100, linkage.BLOCK]),
    searched=st.sampled_from([1, linkage.SEARCH_BATCH]),
    seed=st.integers(0, 10**6),
)
def test_the_tree_equals_that_of_scipy(
    monkeypatch: pytest.MonkeyPatch,
    *,
    count: int,
    voices: int,
    noise: float,
    block: int,
    searched: int,
    seed: int,
) -> None:
    monkeypatch.setattr(linkage, "BLOCK", block)
    monkeypatch.setattr(linkage, "SEARCH_BATCH", searched)
    vectors = voices_of(count, voices, noise, seed)
    expected = hierarchy.linkage(vectors, "centroid", "euclidean")

    found = centroid_linkage(vectors)

    assert hierarchy.is_valid_linkage(found)
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("noise", [0.25, 0.5, 1.0])
def test_in_float32_the_speakers_are_the_same(noise: float) -> None:
    vectors = voices_of(1_500, 6, noise, seed=4, dimension=256)
    expected = hierarchy.linkage(vectors, "centroid", "euclidean")

    found = centroid_linkage(vectors.astype(np.float32))

    np.testing.assert_allclose(np.sort(found[:, 2]), np.sort(expected[:, 2]), atol=1e-3)
    thresholds = [height for height in THRESHOLDS if np.abs(expected[:, 2] - height).min() > 1e-3]
    assert len(thresholds) > 8
    assert all(partition(found, height) == partition(expected, height) for height in thresholds)


def test_equal_vectors_merge_first() -> None:
    vectors = voices_of(60, 5, 1.0, seed=1)

    found = centroid_linkage(np.concatenate([vectors, vectors, vectors]))

    assert (found[:120, 2] < 1e-7).all()
    assert partition(found, 1e-3) == {frozenset({n, n + 60, n + 120}) for n in range(60)}


def test_many_vectors_need_no_memory_for_a_distance_matrix() -> None:
    vectors = voices_of(4_000, 6, 0.5, seed=2).astype(np.float32)

    tracemalloc.start()
    found = centroid_linkage(vectors)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(partition(found, 0.7)) == 6
    pairs = 4 * len(vectors) * (len(vectors) - 1)
    assert peak < pairs / 4


def test_the_vectors_are_not_changed() -> None:
    vectors = voices_of(50, 3, 0.5, seed=3)
    before = vectors.copy()

    centroid_linkage(vectors)

    np.testing.assert_array_equal(vectors, before)


def test_overwrite_computes_in_the_vectors() -> None:
    vectors = voices_of(50, 3, 0.5, seed=3)
    tree, before = centroid_linkage(vectors), vectors.copy()

    np.testing.assert_array_equal(centroid_linkage(vectors, overwrite=True), tree)
    assert not np.array_equal(vectors, before)
