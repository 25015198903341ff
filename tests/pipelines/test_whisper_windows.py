"""Windows for Whisper's encoder and their batches."""

import numpy as np
import pytest
import torch
from clips import noise
from torch import Tensor

from pipelines.whisper_windows import MAX_BATCH_WINDOWS, in_batches, padded_windows


def test_a_short_clip_is_one_window_with_silence_behind_it_that_has_no_weight() -> None:
    clip = noise(16_000, 0)

    windows, weights = padded_windows(clip, 32_000, 3)

    assert windows[0, :16_000] == pytest.approx(clip)
    assert not windows[0, 16_000:].any()
    assert weights[0].tolist() == pytest.approx([1 / 50] * 50 + [0.0] * 50)


@pytest.mark.parametrize("count", [1, MAX_BATCH_WINDOWS, 2 * MAX_BATCH_WINDOWS + 1])
def test_batches_are_small_and_each_row_is_answered_with_its_own_arguments(count: int) -> None:
    asked = []

    def run(windows: Tensor, weights: Tensor) -> Tensor:
        asked.append(len(windows))
        return windows.sum(dim=1) + weights[:, 0]

    windows = np.arange(3.0 * count, dtype=np.float32).reshape(count, 3)
    weights = np.linspace(0, 1, count, dtype=np.float32)[:, None]

    found = in_batches(run, windows, weights)

    assert torch.equal(found, torch.from_numpy(windows.sum(axis=1) + weights[:, 0]))
    assert max(asked) <= MAX_BATCH_WINDOWS
