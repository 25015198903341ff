"""Kaldi's log-mel energies are those of torchaudio, and no clip changes another's."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchaudio.compliance import kaldi

from pipelines.kaldi_fbank import WINDOW_SAMPLES, KaldiFbank, frames_of, mel_filters


@pytest.fixture(scope="module")
def fbank() -> KaldiFbank:
    return KaldiFbank(80)


def reference(clip: Tensor, n_mels: int = 80) -> Tensor:
    return kaldi.fbank(clip[None], num_mel_bins=n_mels, dither=0.0)


def noise(samples: int, seed: int, gain: float, offset: float) -> Tensor:
    return gain * (0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(seed)) + offset)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.integers(WINDOW_SAMPLES, 20_000), min_size=1, max_size=4),
    st.sampled_from([1e-3, 1.0]),
    st.sampled_from([0.0, 0.3]),
)
def test_each_clip_of_a_batch_has_the_features_of_torchaudio(
    fbank: KaldiFbank, lengths: list[int], gain: float, offset: float
) -> None:
    clips = [noise(samples, seed, gain, offset) for seed, samples in enumerate(lengths)]

    for clip, found in zip(clips, fbank(clips), strict=True):
        assert found.shape == (frames_of(len(clip)), 80)
        torch.testing.assert_close(found, reference(clip), rtol=0, atol=2e-3)


def test_other_numbers_of_bands_are_torchaudios_too() -> None:
    clip = noise(8_000, 0, 1.0, 0.0)

    torch.testing.assert_close(KaldiFbank(23)([clip])[0], reference(clip, 23), rtol=0, atol=2e-3)


def test_the_filters_are_those_of_torchaudio() -> None:
    filters, _ = kaldi.get_mel_banks(80, 512, 16_000.0, 20.0, 0.0, 100.0, -500.0, 1.0)

    found = mel_filters(80)

    torch.testing.assert_close(found[:256].T, filters, rtol=0, atol=5e-5)
    assert not found[256].any()


def test_silence_has_the_smallest_energy_and_not_minus_infinity(fbank: KaldiFbank) -> None:
    found = fbank([torch.zeros(1_000)])[0]

    assert torch.equal(found, reference(torch.zeros(1_000)))
    assert found.isfinite().all()


@pytest.mark.parametrize("samples", [400, 559, 560, 16_000])
def test_the_frames_of_a_clip_are_counted_as_torchaudio_counts_them(samples: int) -> None:
    assert frames_of(samples) == len(reference(torch.zeros(samples)))


def test_a_clip_is_not_changed(fbank: KaldiFbank) -> None:
    clip = noise(4_000, 0, 1.0, 0.3)
    before = clip.clone()

    fbank([clip])

    assert torch.equal(clip, before)
