"""Test the mean over windows of long recordings, and the limit of windows per forward pass."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from pipelines.windowing import MAX_BATCH_WINDOWS, mean_over_windows
from voxgraph.results import Waveform

CALLS: list[list[int]] = []


def run(clips: Sequence[Waveform]) -> Tensor:
    CALLS.append([len(clip) for clip in clips])
    return torch.tensor([[float(clip.sum()), float(len(clip))] for clip in clips])


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    CALLS.clear()


def clip(samples: int, seed: int = 0) -> Waveform:
    return np.random.default_rng(seed).normal(size=samples).astype(np.float32)


def test_short_clips_are_run_together_as_they_are() -> None:
    clips = [clip(5), clip(10), clip(7)]

    rows = mean_over_windows(run, clips, 10)

    assert CALLS == [[5, 10, 7]]
    assert torch.equal(rows, run(clips))


def test_a_long_clip_is_the_mean_of_its_windows_with_the_last_aligned_to_its_end() -> None:
    long = clip(25)

    rows = mean_over_windows(run, [long], 10)

    windows = [long[0:10], long[10:20], long[15:25]]
    assert torch.allclose(rows[0], run(windows).mean(dim=0))


def test_order_is_kept_among_short_and_long() -> None:
    clips = [clip(3, 1), clip(21, 2), clip(4, 3), clip(50, 4)]

    rows = mean_over_windows(run, clips, 10)

    for row, one in zip(rows, clips, strict=True):
        assert torch.allclose(row, mean_over_windows(run, [one], 10)[0])


def test_windows_of_a_long_clip_run_in_batches_of_limited_size() -> None:
    mean_over_windows(run, [clip(1_000)], 10)

    assert max(len(call) for call in CALLS) <= MAX_BATCH_WINDOWS
    assert {length for call in CALLS for length in call} == {10}
