"""Cosine similarity of embeddings."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxgraph.errors import InvalidEmbedding, SpaceMismatch
from voxgraph.results import Embedding
from voxgraph.similarity import DEFAULT_THRESHOLD, cosine


def voice(seed: int = 0, scale: float = 1.0) -> Embedding:
    vector = np.random.default_rng(seed).normal(size=192) * scale
    return Embedding(vector.astype(np.float32), "some/encoder", "abc")


@given(st.integers(0, 100), st.integers(0, 100), st.sampled_from([1e-30, 1.0, 1e30]))
def test_the_cosine_does_not_depend_on_the_lengths(a: int, b: int, scale: float) -> None:
    first, second = voice(a), voice(b, scale)
    x, y = first.vector.astype(np.float64), second.vector.astype(np.float64)

    found = cosine(first, second)

    assert found == pytest.approx(x @ y / np.linalg.norm(x) / np.linalg.norm(y), abs=1e-9)
    assert found == cosine(second, first)
    assert -1.0 <= found <= 1.0


def test_a_voice_is_similar_to_itself_and_dissimilar_to_its_opposite() -> None:
    opposite = replace(voice(), vector=-voice().vector)

    assert cosine(voice(), voice()) == pytest.approx(1.0)
    assert cosine(voice(), opposite) == pytest.approx(-1.0)
    assert cosine(voice(1), voice(2)) < DEFAULT_THRESHOLD < cosine(voice(1), voice(1))


def test_the_threshold_is_that_of_speechbrain() -> None:
    import inspect

    from speechbrain.inference.speaker import SpeakerRecognition

    parameters = inspect.signature(SpeakerRecognition.verify_batch).parameters

    assert parameters["threshold"].default == DEFAULT_THRESHOLD


@pytest.mark.parametrize("change", [{"model": "other/encoder"}, {"revision": "def"}])
def test_voices_of_different_encoders_or_revisions_are_not_compared(change: dict[str, str]) -> None:
    with pytest.raises(SpaceMismatch, match="some/encoder"):
        cosine(voice(1), replace(voice(2), **change))


@pytest.mark.parametrize(
    "vector",
    [
        np.zeros(192),
        np.ones(191),
        np.ones((1, 192)),
        np.array([]),
        np.r_[np.ones(191), np.nan],
        np.r_[np.ones(191), np.inf],
    ],
    ids=["zero", "short", "2-D", "empty", "NaN", "infinite"],
)
def test_a_vector_without_a_direction_is_refused(vector: np.ndarray) -> None:
    wrong = replace(voice(), vector=vector.astype(np.float32))

    for pair in ((wrong, voice()), (voice(), wrong), (wrong, wrong)):
        with pytest.raises(InvalidEmbedding):
            cosine(*pair)
