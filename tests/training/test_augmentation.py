"""Augmentation keeps length, range and voice of a clip."""

from collections.abc import Callable

import numpy as np
import pytest

from training import augmentation
from voxgraph.results import Waveform


@pytest.fixture
def voice() -> Waveform:
    generator = np.random.default_rng(0)
    waveform: Waveform = (0.05 * generator.normal(size=20_000)).astype(np.float32)
    return waveform


@pytest.mark.parametrize("seed", range(30))
def test_length_is_kept_and_samples_are_in_range(voice: Waveform, seed: int) -> None:
    found = augmentation.augment(voice, np.random.default_rng(seed))

    assert (found.shape, found.dtype) == (voice.shape, np.float32)
    assert np.isfinite(found).all()
    assert 0 < np.abs(found).max() <= 1


@pytest.mark.parametrize(
    "effect", [augmentation.add_reverberation, augmentation.add_noise, augmentation.apply_codec]
)
def test_each_effect_changes_the_clip_and_keeps_the_voice(
    voice: Waveform, effect: Callable[[Waveform, np.random.Generator], Waveform]
) -> None:
    found = effect(voice, np.random.default_rng(1))

    assert found.shape == voice.shape
    assert not np.array_equal(found, voice)
    assert np.corrcoef(found, voice)[0, 1] > 0.5


def test_a_band_limit_attenuates_high_frequencies(voice: Waveform) -> None:
    found = augmentation.limit_band(voice, np.random.default_rng(2))

    above = np.abs(np.fft.rfft(found))[int(7_500 / 8_000 * 10_000) :]
    assert above.mean() < 0.3 * np.abs(np.fft.rfft(voice)).mean()


def test_the_same_seed_gives_the_same_result(voice: Waveform) -> None:
    first, second = (augmentation.augment(voice, np.random.default_rng(5)) for _ in range(2))

    assert np.array_equal(first, second)
