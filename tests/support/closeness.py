"""Distances between two arrays, and results as arrays."""

from typing import Any

import numpy as np

from voxgraph.results import LanguageResult


def relative_difference(found: Any, expected: Any) -> float:
    """Return the largest absolute difference divided by the largest expected absolute value."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def cosine(a: Any, b: Any) -> float:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def numbers(result: LanguageResult) -> np.ndarray:
    """Return the probabilities of a language result, in the order of the model."""
    return np.array([*result.probabilities.values()])
