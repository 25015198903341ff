"""Similarities of voices are those of the slow reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.api.compat.matching import Space, check_space, cosines
from voxgraph.errors import SpaceMismatch
from voxgraph.results import Embedding
from voxgraph.similarity import cosine


def vectors(count: int, seed: int, scale: float = 1.0) -> np.ndarray:
    # float32, as the reference takes them.
    drawn = np.random.default_rng(seed).normal(size=(count, 192)) * scale
    return drawn.astype(np.float32).astype(np.float64)


@given(st.integers(0, 1000), st.integers(1, 200), st.sampled_from([1e-30, 1.0, 1e30]))
def test_similarities_are_those_of_the_slow_reference(seed: int, count: int, scale: float) -> None:
    query, stored = vectors(1, seed)[0], vectors(count, seed + 1, scale)

    def embedding(vector: np.ndarray) -> Embedding:
        return Embedding(vector.astype(np.float32), "m", "r")

    expected = [cosine(embedding(query), embedding(row)) for row in stored]
    np.testing.assert_allclose(cosines(query, stored), expected, atol=1e-11)


@pytest.mark.parametrize("scale", [5e-324, 1e-300, 1.0, 1e300])
def test_equal_voices_are_at_exactly_one_whatever_the_lengths(scale: float) -> None:
    stored = vectors(50, 3)
    smallest = np.sign(stored) * 5e-324
    scaled = smallest if scale == 5e-324 else stored * scale

    for row in scaled:
        assert cosines(row, np.stack([row, -row])).tolist() == [1.0, -1.0]


def test_a_row_has_the_same_similarity_alone_and_anywhere_among_others() -> None:
    query, stored = vectors(1, 0)[0], vectors(131, 1)

    together = cosines(query, stored)

    assert [float(cosines(query, row[np.newaxis])[0]) for row in stored] == together.tolist()


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf, -np.inf])
def test_a_row_without_a_direction_is_nan_and_its_neighbours_are_not(bad: float) -> None:
    stored = vectors(3, 0)
    stored[1] = 0.0
    stored[1, 5] = bad

    assert np.isnan(cosines(vectors(1, 1)[0], stored)).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (Space(), Space("m", "r")),
        (Space("m"), Space(None, "r")),
        (Space("m", "r"), Space("m", "r")),
        (Space("m", "r"), Space("m")),
    ],
)
def test_spaces_that_do_not_contradict_each_other_are_compared(a: Space, b: Space) -> None:
    check_space(a, b, "the other")
    check_space(b, a, "the other")


@pytest.mark.parametrize(("a", "b"), [(Space("m"), Space("n")), (Space("m", "r"), Space("m", "s"))])
def test_two_spaces_are_refused_by_name(a: Space, b: Space) -> None:
    with pytest.raises(SpaceMismatch, match=r"^the other is of '[ns]'"):
        check_space(a, b, "the other")
