"""Search: exhaustive, the same wherever a speaker lies, and never half of an update."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.api.compat.matching import cosines
from gallery.search import DECIMALS, MAX_CENTROIDS, Profile, VoiceMatrix, centroids, unit
from voxgraph.errors import InvalidEmbedding

DIM = 192


def voices(count: int, seed: int = 0, dim: int = DIM) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


def matrix(vectors: np.ndarray) -> VoiceMatrix:
    profiles = {f"s{row}": Profile(centroids(vector[np.newaxis]), 20.0) for row, vector in enumerate(vectors)}
    return VoiceMatrix(profiles, vectors.shape[1])


def test_scores_are_the_float64_cosines():
    vectors, query = voices(2000), voices(1, seed=1)[0]
    found = matrix(vectors).scores(query)
    # Rows are float32, and all but the best are summed in float32.
    np.testing.assert_allclose(found.scores, cosines(query.astype(float), vectors.astype(float)), atol=2e-6)


def test_the_best_are_those_of_an_exhaustive_comparison():
    vectors, query = voices(500), voices(1, seed=2)[0]
    found = matrix(vectors).scores(query)
    exact = unit(vectors) @ unit(query)
    assert list(found.best(10)) == list(np.argsort(-exact)[:10])


def test_equal_scores_are_ordered_by_name():
    vector = voices(1)[0]
    found = matrix(np.stack([vector] * 4)).scores(vector)
    assert [found.names[index] for index in found.best(2)] == ["s0", "s1"]


def test_the_order_of_enrolment_changes_no_score():
    vectors, query = voices(300), voices(1, seed=3)[0]
    profiles = {f"s{row}": Profile(centroids(vector[np.newaxis]), 20.0) for row, vector in enumerate(vectors)}
    shuffled = dict(sorted(profiles.items(), reverse=True))
    first, second = (VoiceMatrix(each, DIM).scores(query) for each in (profiles, shuffled))
    best = [[(found.names[i], found.scores[i]) for i in found.best(20)] for found in (first, second)]
    assert best[0] == best[1]


def test_a_speaker_who_is_left_out_is_not_compared():
    vectors = voices(5)
    found = matrix(vectors).scores(vectors[2], without={"s2", "nobody"})
    assert set(found.names) == {"s0", "s1", "s3", "s4"}


@pytest.mark.parametrize("bad", [np.zeros(DIM), np.full(DIM, np.nan), np.ones(DIM - 1)])
def test_a_query_without_direction_or_of_another_length_is_refused(bad):
    with pytest.raises(InvalidEmbedding):
        matrix(voices(3)).scores(bad)


def test_one_row_stands_for_similar_references_and_several_for_different_ones():
    one, other = voices(2)
    near = [one + 0.1 * noise for noise in voices(4, seed=5)]
    assert len(centroids(near)) == 1
    assert len(centroids([*near, other])) == 2
    assert len(centroids(voices(9, seed=6))) == MAX_CENTROIDS


def test_a_profile_does_not_depend_on_the_order_of_its_references():
    references = voices(7, seed=8)
    np.testing.assert_array_equal(centroids(references), centroids(references[::-1]))


def test_a_speaker_with_several_rows_scores_as_the_nearest_of_them():
    one, other = voices(2)
    found = VoiceMatrix({"both": Profile(centroids([one, other]), 20.0)}, DIM)
    assert found.scores(one).scores[0] == found.scores(other).scores[0] == 1.0


changes = st.lists(
    st.dictionaries(st.integers(0, 5), st.one_of(st.none(), st.integers(0, 50)), min_size=1, max_size=4),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(changes)
def test_any_updates_give_what_a_fresh_matrix_gives_and_leave_older_ones_as_they_were(steps):
    dim, query = 8, np.arange(1.0, 9.0)
    pool = voices(60, seed=11, dim=dim)
    model: dict[str, Profile] = {}
    current = VoiceMatrix({}, dim)
    history = [(current, {})]
    for revision, step in enumerate(steps, 1):
        update = {
            f"s{name}": None
            if value is None
            else Profile(centroids(pool[value : value + 1 + value % 3]), 9.0)
            for name, value in step.items()
        }
        for name, profile in update.items():
            model.pop(name, None)
            if profile is not None:
                model[name] = profile
        current = current.updated(update, revision)
        history.append((current, dict(model)))
    for revision, (found, expected) in enumerate(history):
        scores = found.scores(query)
        fresh = VoiceMatrix(expected, dim).scores(query)
        assert found.revision == revision
        assert dict(zip(scores.names, scores.scores, strict=True)) == pytest.approx(
            dict(zip(fresh.names, fresh.scores, strict=True)), abs=10**-DECIMALS
        )


def test_a_removed_speaker_leaves_no_row_in_memory():
    vectors = voices(3)
    kept = matrix(vectors).updated({"s1": None}, 1)
    rows = kept._shared.rows
    assert not any(np.allclose(row, unit(vectors[1]), atol=1e-6) for row in rows)


def test_two_updates_of_one_matrix_do_not_see_each_other():
    base = matrix(voices(3))
    new = voices(2, seed=4)
    first, second = (base.updated({"new": Profile(centroids(each[np.newaxis]), 9.0)}, 1) for each in new)
    assert first.scores(new[0]).of("new").scores[0] == pytest.approx(1.0)
    assert second.scores(new[1]).of("new").scores[0] == pytest.approx(1.0)
    assert len(base) == 3
