"""Test that ECAPA embeds a clip in a batch as it does alone."""

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from closeness import cosine, relative_difference
from hypothesis import given, settings
from hypothesis import strategies as st
from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN
from torch import Tensor

from config.checkpoint_types import EcapaArchitecture
from config.checkpoints import CHECKPOINTS
from config.settings import CheckpointSource, EngineOptions, Size
from pipelines.checkpoints import LocatedCheckpoint, locate
from pipelines.ecapa import MIN_SAMPLES, Ecapa, build_encoder
from pipelines.ecapa_network import reflect_pad
from voxgraph.errors import AudioTooShort, CheckpointError
from voxgraph.options import ModelKey
from voxgraph.results import Waveform

Checkpoints = Callable[[ModelKey], LocatedCheckpoint]
Clip = Callable[..., Waveform]
TOLERANCE = 1e-4
"""Largest difference of an embedding in float32, relative to its largest number."""


@pytest.fixture(scope="module", params=["torch", "openvino"])
def network(request: pytest.FixtureRequest, small: Checkpoints) -> Ecapa:
    options = EngineOptions(engine=request.param, precision="float32")
    return Ecapa(small(ModelKey.SPEAKER_VOXCELEB), "cpu", options)


@pytest.fixture(scope="module")
def stock(network: Ecapa) -> ECAPA_TDNN:
    """Build SpeechBrain's own network with the same weights."""
    architecture = CHECKPOINTS[ModelKey.SPEAKER_VOXCELEB].architectures[Size.SMALL]
    assert isinstance(architecture, EcapaArchitecture)
    encoder = build_encoder(architecture)
    encoder.load_state_dict(network.encoder.state_dict())
    return encoder.eval()


def burst(samples: int, seed: int, gain: float = 0.1) -> Waveform:
    generator = np.random.default_rng(seed)
    envelope = 0.1 + np.abs(np.sin(np.arange(samples) / 2_500 + seed))
    return (gain * envelope * generator.normal(size=samples)).astype(np.float32)


def stock_embedding(network: Ecapa, stock: ECAPA_TDNN, waveform: Waveform) -> Tensor:
    """Embed one clip with SpeechBrain's own modules, padding and normalization."""
    from speechbrain.processing.features import InputNormalization

    normalise = InputNormalization(norm_type="sentence", std_norm=False)
    with torch.inference_mode():
        features = network.fbank(torch.tensor(waveform)[None])
        return stock(normalise(features, torch.ones(1)), torch.ones(1))[0, 0]


@settings(deadline=None, max_examples=10)
@given(
    st.lists(st.integers(MIN_SAMPLES, 64_000) | st.integers(1_600, 480_000), min_size=1, max_size=5),
    st.sampled_from([1e-4, 0.1, 1.0]),
)
def test_a_clip_in_a_batch_embeds_as_it_does_alone(
    network: Ecapa, stock: ECAPA_TDNN, lengths: list[int], gain: float
) -> None:
    waveforms = [burst(samples, seed, gain) for seed, samples in enumerate(lengths)]

    together = network.embed(waveforms)

    for waveform, found in zip(waveforms, together, strict=True):
        expected = stock_embedding(network, stock, waveform)
        assert relative_difference(found, expected) <= TOLERANCE
        assert cosine(found, expected) >= 0.99999


def test_speechbrains_own_padding_changes_an_embedding(network: Ecapa, stock: ECAPA_TDNN) -> None:
    short, long = burst(16_000, 0), burst(64_000, 1)
    features = [network.fbank(torch.tensor(clip)[None])[0] for clip in (short, long)]
    padded = torch.nn.utils.rnn.pad_sequence([x - x.mean(dim=0) for x in features], batch_first=True)
    with torch.inference_mode():
        found = stock(padded, torch.tensor([100.5 / 401, 1.0]))[0, 0]

    assert relative_difference(found, network.embed([short])[0]) > 10 * TOLERANCE


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_a_full_size_network_is_exact_in_batches_too(
    engine: Literal["torch", "openvino"], full: Checkpoints, clip: Clip
) -> None:
    network = Ecapa(full(ModelKey.SPEAKER_VOXCELEB), "cpu", EngineOptions(engine=engine, precision="float32"))
    waveforms = [clip(samples, seed) for seed, samples in enumerate((MIN_SAMPLES, 8_123, 16_000, 40_000))]

    together = network.embed(waveforms)

    for waveform, found in zip(waveforms, together, strict=True):
        expected = network.embed([waveform])[0]
        assert relative_difference(found, expected) <= TOLERANCE
        assert cosine(found, expected) >= 0.99999


@given(
    st.lists(st.integers(5, 40), min_size=1, max_size=5),
    st.sampled_from([(5, 1), (3, 2), (3, 3), (3, 4), (1, 1)]),
)
def test_each_clip_is_reflected_at_its_own_end(frames: list[int], convolution: tuple[int, int]) -> None:
    kernel_size, dilation = convolution
    width = dilation * (kernel_size - 1) // 2
    batch = torch.rand(len(frames), 3, 1, max(frames))

    padded = reflect_pad(batch, torch.tensor(frames), width)

    assert padded.shape[-1] == max(frames) + 2 * width
    for clip, length, found in zip(batch, frames, padded, strict=True):
        expected = np.pad(clip[:, 0, :length].numpy(), ((0, 0), (width, width)), mode="reflect")
        assert np.array_equal(found[:, 0, : length + 2 * width].numpy(), expected)


def test_a_clip_of_the_smallest_length_embeds_and_a_shorter_one_does_not(network: Ecapa) -> None:
    assert network.embed([burst(MIN_SAMPLES, 0)]).isfinite().all()
    with pytest.raises(AudioTooShort, match=r"639 samples; ECAPA needs 640 \(0\.04 s\)"):
        network.embed([burst(16_000, 0), burst(MIN_SAMPLES - 1, 0)])


def test_silence_embeds_to_finite_numbers(network: Ecapa) -> None:
    assert network.embed([np.zeros(16_000, np.float32), burst(20_000, 0)]).isfinite().all()


def test_a_read_only_clip_is_taken_without_a_warning_and_not_changed(network: Ecapa) -> None:
    waveform = burst(16_000, 0)
    waveform.flags.writeable = False
    before = waveform.copy()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network.embed([waveform])

    assert np.array_equal(waveform, before)


@pytest.mark.parametrize("size", [Size.FULL, None])
def test_tensors_of_another_size_are_refused(size: Size | None, small: Checkpoints) -> None:
    folder = small(ModelKey.SPEAKER_VOXCELEB).folder
    checkpoint = locate(ModelKey.SPEAKER_VOXCELEB, CheckpointSource(source=str(folder), size=size))

    with pytest.raises(CheckpointError, match="spkrec-ecapa-voxceleb encoder does not fit the architecture"):
        Ecapa(checkpoint, "cpu")


def test_a_head_of_another_model_is_refused(small: Checkpoints, tmp_path: Path) -> None:
    (tmp_path / "embedding_model.ckpt").symlink_to(small(ModelKey.LANGUAGE).file("embedding_model.ckpt"))
    (tmp_path / "classifier.ckpt").symlink_to(small(ModelKey.ACCENT_ECAPA).file("classifier.ckpt"))
    (tmp_path / "label_encoder.txt").touch()
    source = CheckpointSource(source=str(tmp_path), size=Size.SMALL)

    with pytest.raises(CheckpointError, match="classifier does not fit the architecture"):
        Ecapa(locate(ModelKey.LANGUAGE, source), "cpu")


def test_the_full_size_network_has_as_many_weights_as_the_published_one(full: Checkpoints) -> None:
    network = Ecapa(full(ModelKey.SPEAKER_VOXCELEB), "cpu")

    assert network.parameter_count == 20_767_552
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_importing_it_writes_nothing_and_opens_no_connection(tmp_path: Path) -> None:
    code = (
        "import socket\n"
        "def refuse(*_): raise AssertionError('a connection')\n"
        "socket.socket.connect = refuse\n"
        "import pipelines.language, pipelines.speaker, pipelines.accent\n"
    )

    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, check=True, timeout=120)

    assert not any(tmp_path.iterdir())
