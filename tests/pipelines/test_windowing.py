"""Recordings in pieces: the mean over windows, alone, in a batch, and as integers."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from pipelines.pieces import PIECES_AT_ONCE, Whole
from pipelines.samples import MIN_PCM16_SAMPLES, Samples, to_pcm16
from pipelines.windowing import MeanOfWindows
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

LONGEST = 10


class Sums(MeanOfWindows[list[float]]):
    """Answers with the sum and the length of a clip, or their means over windows."""

    def __init__(self, longest: int = LONGEST) -> None:
        self.longest = longest
        self.calls: list[list[int]] = []

    def rows(self, clips: Sequence[Waveform]) -> Tensor:
        self.calls.append([len(clip) for clip in clips])
        return torch.tensor([[float(clip.sum()), float(len(clip))] for clip in clips])

    def result(self, row: Tensor, samples: Samples) -> list[float]:
        return [float(value) for value in row]


def clip(samples: int, seed: int = 0) -> Waveform:
    return np.random.default_rng(seed).normal(size=samples).astype(np.float32)


def test_short_clips_are_run_together_as_they_are() -> None:
    pipeline, clips = Sums(), [clip(5), clip(10), clip(7)]

    found = pipeline(clips)

    assert pipeline.calls == [[5, 10, 7]]
    assert found == [[pytest.approx(float(one.sum())), len(one)] for one in clips]


def test_a_long_clip_is_the_mean_of_its_windows_with_the_last_aligned_to_its_end() -> None:
    long = clip(25)

    (found,) = Sums()([long])

    windows = [long[0:10], long[10:20], long[15:25]]
    assert found == [pytest.approx(np.mean([window.sum() for window in windows]), abs=1e-6), 10]


def test_of_hours_the_loudest_window_of_each_section_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    second = SAMPLE_RATE_HZ
    monkeypatch.setattr("pipelines.windowing.MAX_HEARD_S", 6)
    pipeline, long = Sums(2 * second), clip(13 * second) / 100
    for start in (1, 5, 11):
        long[start * second : (start + 2) * second] *= 10
    windows = [long[start * second : (start + 2) * second] for start in (1, 5, 11)]

    (found,) = pipeline([long])
    (of_integers,) = Sums(2 * second)([np.round(long * (1 << 15)).astype(np.int16)])
    (not_longer,) = Sums(2 * second)([long[: 6 * second]])

    assert found == [pytest.approx(np.mean([window.sum() for window in windows]), rel=1e-5), 2 * second]
    assert of_integers == [pytest.approx(found[0], abs=0.1), 2 * second]
    assert not_longer[0] == pytest.approx(long[: 6 * second].sum() / 3, rel=1e-4)
    assert sum(map(pipeline.seconds_of, pipeline.cut(long))) == 6


def test_order_is_kept_among_short_and_long() -> None:
    clips = [clip(3, 1), clip(21, 2), clip(4, 3), clip(50, 4)]

    together = Sums()(clips)

    for found, one in zip(together, clips, strict=True):
        assert found == pytest.approx(Sums()([one])[0])


def test_pieces_that_are_run_one_by_one_give_the_answer_of_a_call() -> None:
    pipeline, long = Sums(), clip(47)

    outputs = [pipeline.run([piece])[0] for piece in pipeline.cut(long)]

    assert pipeline.join(long, outputs) == pytest.approx(Sums()([long])[0])
    assert sum(map(pipeline.seconds_of, pipeline.cut(long))) == pytest.approx(50 / 16_000)


def test_windows_of_a_long_clip_run_in_batches_of_limited_size() -> None:
    pipeline = Sums()

    pipeline([clip(1_000)])

    assert max(len(call) for call in pipeline.calls) <= PIECES_AT_ONCE
    assert {length for call in pipeline.calls for length in call} == {LONGEST}


def total(clips: list[Waveform]) -> list[float]:
    return [float(clip.sum()) for clip in clips]


@pytest.mark.parametrize("pipeline", [Sums(MIN_PCM16_SAMPLES), Whole(total)])
def test_a_recording_sent_as_integers_has_the_same_answer(pipeline: Sums) -> None:
    levels = np.random.default_rng(0).integers(-99, 99, 2 * MIN_PCM16_SAMPLES + 5)
    waveform = (levels / (1 << 15)).astype(np.float32)
    packed = to_pcm16(waveform)

    assert packed.dtype == np.int16
    assert pipeline([packed]) == pipeline([waveform])
