"""Which windows of a long recording are listened to."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.speech_windows import BLOCK, speech_seconds, speech_windows

WINDOW = 3 * BLOCK


def recording(levels: list[float]) -> np.ndarray:
    """A second of a constant for each level."""
    return np.repeat(np.float32(levels), BLOCK)


@given(st.integers(1, 40 * BLOCK), st.integers(1, 5))
def test_windows_lie_inside_and_apart(samples: int, count: int) -> None:
    clip = np.linspace(1.0, 0.5, samples, dtype=np.float32)

    found = speech_windows(clip, WINDOW, count)

    assert len(found) == max(1, min(count, samples // WINDOW))
    assert all(end - start == min(samples, WINDOW) for start, end in found)
    assert found[0][0] >= 0
    assert found[-1][1] <= samples
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(found))


def test_each_section_is_heard_where_it_is_loudest() -> None:
    clip = recording([0, 0, 1, 1, 1, 0, 0, 0, 0, 0.5, 0.5, 0.5, 0, 0, 0, 0])

    assert speech_windows(clip, WINDOW, 2) == [(2 * BLOCK, 5 * BLOCK), (9 * BLOCK, 12 * BLOCK)]


@pytest.mark.parametrize(("level", "expected"), [(0.05, 2), (0.02, 1), (0.0, 1)])
def test_a_section_30_db_below_the_loudest_is_left_out(level: float, expected: int) -> None:
    clip = recording([1] * 8 + [level] * 8)

    assert len(speech_windows(clip, WINDOW, 2)) == expected


def test_silence_is_heard_too() -> None:
    assert len(speech_windows(recording([0] * 16), WINDOW, 2)) == 2


def test_a_recording_a_little_longer_than_a_window_is_one_window() -> None:
    clip = recording([0.1, 1, 1, 1, 0.1])

    assert speech_windows(clip, WINDOW, 3) == [(BLOCK, 4 * BLOCK)]
    assert speech_windows(clip[: WINDOW + 5], WINDOW, 3) == [(0, WINDOW)]


@pytest.mark.parametrize("gain", [1e-3, 1.0])
def test_seconds_of_speech_are_those_that_are_loud_at_any_level(gain: float) -> None:
    clip = np.full(160_000, 1e-3, np.float32)
    clip[16_000:48_000] = 0.5

    assert speech_seconds(gain * clip) == pytest.approx(2.0)


def test_silence_has_no_seconds_of_speech_and_steady_sound_is_all_speech() -> None:
    assert speech_seconds(np.zeros(48_000, np.float32)) == 0.0
    assert speech_seconds(np.ones(10, np.float32)) == 0.0
    assert speech_seconds(np.ones(48_000, np.float32)) == 3.0
