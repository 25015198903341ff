"""Test the pipelines on recordings that are longer than one forward pass takes."""

import numpy as np
import pytest
import torch
from small_checkpoints import small_checkpoint

from config.settings import EngineOptions
from pipelines import accent_xlsr, ecapa
from pipelines.accent_xlsr import XlsrAccentClassifier
from pipelines.speaker import SpeakerEncoder
from voxgraph.options import ModelKey
from voxgraph.results import Waveform

EXACT = EngineOptions(engine="torch", precision="float32")


def noise(samples: int) -> Waveform:
    return np.random.default_rng(3).normal(0, 0.1, samples).astype(np.float32)


@pytest.fixture(scope="module")
def speaker() -> SpeakerEncoder:
    return SpeakerEncoder(small_checkpoint(ModelKey.SPEAKER_VOXCELEB), "cpu", EXACT)


def test_a_long_voice_is_the_mean_of_its_windows(speaker: SpeakerEncoder) -> None:
    longest = ecapa.MAX_INPUT_SAMPLES
    clip = noise(longest + 40_000)

    (found,) = speaker([clip])

    windows = speaker([clip[:longest], clip[-longest:]])
    expected = np.mean([window.vector for window in windows], axis=0)
    assert np.allclose(found.vector, expected, rtol=1e-4, atol=1e-5)


def test_the_longest_voice_is_one_window(speaker: SpeakerEncoder) -> None:
    clip = noise(ecapa.MAX_INPUT_SAMPLES)

    alone, _ = speaker([clip, noise(20_000)])

    assert np.allclose(alone.vector, speaker([clip])[0].vector, rtol=1e-4, atol=1e-5)


def test_a_long_accent_is_the_mean_of_its_windows() -> None:
    classifier = XlsrAccentClassifier(small_checkpoint(ModelKey.ACCENT_XLSR), "cpu", EXACT)
    longest = accent_xlsr.MAX_INPUT_SAMPLES
    clip = noise(2 * longest)

    (found,) = classifier([clip])

    halves = classifier([clip[:longest], clip[longest:]])
    for label, probability in found.probabilities.items():
        mean = sum(half.probabilities[label] for half in halves) / 2
        assert probability == pytest.approx(mean, abs=1e-5)
    assert torch.tensor(list(found.probabilities.values())).sum() == pytest.approx(1, abs=1e-5)
