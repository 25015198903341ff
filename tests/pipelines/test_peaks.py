"""The outline of a waveform that a player draws."""

import base64

import clips
import numpy as np
import pytest

from pipelines.audio.peaks import peaks_of


def pairs(data: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(data), np.int8).reshape(-1, 2)


@pytest.mark.parametrize("per_second", [1, 3, 20, 100])
def test_each_pair_has_the_extremes_of_its_span(per_second: int) -> None:
    waveform = np.random.default_rng(7).normal(0, 0.2, 16_000 * 3 + 77).astype(np.float32)

    peaks = peaks_of(waveform, per_second)

    bounds = [index * 16_000 // per_second for index in range(per_second * 4)]
    spans = [span for span in np.split(waveform, bounds[1:]) if len(span)]
    expected = np.array([(span.min(), span.max()) for span in spans]) * 127 / np.abs(waveform).max()
    assert np.abs(pairs(peaks.data) - expected).max() <= 0.5 + 1e-4
    assert peaks.scale == pytest.approx(np.abs(waveform).max())


def test_a_quiet_recording_fills_the_range_and_its_scale_says_how_quiet_it_is() -> None:
    peaks = peaks_of(clips.tone(1.0)[:, 0] * 1e-3, 20)

    assert peaks.scale == pytest.approx(3e-4, rel=1e-2)
    assert pairs(peaks.data).max() == 127


def test_silence_is_a_flat_line() -> None:
    peaks = peaks_of(np.zeros(1_600, np.float32), 20)

    assert (peaks.scale, pairs(peaks.data).tolist()) == (0.0, [[0, 0], [0, 0]])
