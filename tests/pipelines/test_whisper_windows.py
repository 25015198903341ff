"""Windows for Whisper's encoder and their batches."""

import numpy as np
import pytest
from clips import noise
from torch import Tensor

from pipelines.samples import from_pcm16
from pipelines.whisper_windows import (
    MAX_BATCH_WINDOWS,
    Windows,
    cut_windows,
    in_batches,
    padded_windows,
)


def test_a_short_clip_is_one_window_with_silence_behind_it_that_has_no_weight() -> None:
    clip = noise(16_000, 0)

    windows, weights = padded_windows(clip, 32_000, 3)

    assert windows[0, :16_000] == pytest.approx(clip)
    assert not windows[0, 16_000:].any()
    assert weights[0].tolist() == pytest.approx([1 / 50] * 50 + [0.0] * 50)


@pytest.mark.parametrize("shares", [True, False])
@pytest.mark.parametrize("count", [1, MAX_BATCH_WINDOWS, 2 * MAX_BATCH_WINDOWS + 1])
def test_batches_are_small_and_each_piece_gets_the_rows_of_its_own_windows(count: int, shares: bool) -> None:
    asked = []

    def run(windows: Tensor, weights: Tensor | None = None) -> Tensor:
        asked.append(len(windows))
        return windows.sum(dim=1) + (weights[:, 0] if weights is not None else 0)

    sizes = [1 + number % 2 for number in range(count)]
    random = np.random.default_rng(count).random
    pieces = [Windows(random((n, 3)).astype("f4"), random((n, 2)).astype("f4"), 1.0) for n in sizes]

    found = in_batches(run, pieces, shares=shares)

    for rows, piece in zip(found, pieces, strict=True):
        expected = piece.samples.sum(axis=1) + (piece.shares[:, 0] if shares else 0)
        assert rows.numpy() == pytest.approx(expected)
    assert max(asked) <= MAX_BATCH_WINDOWS


@pytest.mark.parametrize("gain", [0.5, 4.0])
def test_integers_are_cut_into_the_windows_of_the_recording_that_they_are(gain: float) -> None:
    levels = (np.random.default_rng(0).uniform(-8000, 8000, 70 * 16_000)).astype(np.int16)
    levels[20 * 16_000 : 40 * 16_000] //= 16
    waveform = from_pcm16(levels)

    whole, packed = (cut_windows(clip, 160_000, 3) for clip in (waveform, levels))

    assert len(whole) == len(packed) == 3
    for one, other in zip(whole, packed, strict=True):
        assert np.array_equal(one.samples, other.samples)
        assert np.array_equal(one.shares, other.shares)
        assert one.seconds == other.seconds == 10.0
    beyond = cut_windows(waveform * np.float32(gain * 16), 160_000, 3)
    assert max(float(np.abs(piece.samples).max()) for piece in beyond) <= 1.0
