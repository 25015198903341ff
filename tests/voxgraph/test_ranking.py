"""The largest values are those of a sort of all, and equals keep their order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxgraph.ranking import contenders, largest


@given(st.lists(st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=40), st.integers(1, 60))
def test_the_largest_are_those_of_a_stable_sort(values: list[float], count: int) -> None:
    expected = sorted(range(len(values)), key=lambda place: -values[place])[:count]

    assert largest(np.array(values), count).tolist() == expected


@pytest.mark.parametrize("decimals", [1, 3, 6])
@pytest.mark.parametrize("count", [1, 9, 64, 1000])
@pytest.mark.parametrize("size", [2047, 2048, 2049, 20_000, 99_999])
def test_many_values_are_ranked_as_few_are(size: int, count: int, decimals: int) -> None:
    values = np.random.default_rng(size + count).normal(0, 0.1, size).round(decimals)

    least = np.sort(values)[-min(count, size)]
    assert contenders(values, count).tolist() == np.flatnonzero(values >= least).tolist()
    assert largest(values, count).tolist() == np.argsort(-values, kind="stable")[:count].tolist()


def test_the_largest_may_lie_side_by_side_and_be_of_any_kind() -> None:
    values = np.arange(50_000, dtype=np.float32)

    assert largest(values, 3).tolist() == [49_999, 49_998, 49_997]
    assert largest(-values, 3).tolist() == [0, 1, 2]
    assert len(contenders(np.zeros(50_000), 3)) == 50_000


def test_a_count_beyond_any_machine_number_is_all() -> None:
    assert largest(np.array([0.1, 0.2]), 10**30).tolist() == [1, 0]
