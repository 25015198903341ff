"""CAM++ answers what the published network does, on either engine and in any batch."""

import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from closeness import cosine, relative_difference
from hypothesis import given, settings
from hypothesis import strategies as st
from published_campplus import PublishedCamPlusPlus
from torch import Tensor, nn
from torchaudio.compliance import kaldi

from config.checkpoint_types import CamPlusPlusArchitecture
from config.settings import CheckpointSource, EngineOptions, Size
from pipelines.campplus import MIN_SAMPLES, CamPlusPlus
from pipelines.campplus_network import MIN_FRAMES, CamPlusPlusNetwork
from pipelines.checkpoints import LocatedCheckpoint, load_tensors, locate
from pipelines.engines.openvino import OpenVinoNetwork
from training.layouts.campplus import save_campplus, write_campplus
from training.layouts.common import randomise_batch_norm
from training.layouts.writer import write_checkpoint
from voxgraph.errors import AudioTooShort, CheckpointError
from voxgraph.options import ModelKey
from voxgraph.results import Waveform

Clip = Callable[..., Waveform]
Checkpoints = Callable[[ModelKey], LocatedCheckpoint]
SMALL = CamPlusPlusArchitecture(16, 4, 16, 8, 2, (2, 3, 2), embedding_dim=12)
TOLERANCE = 1e-4
"""Largest difference of an embedding in float32, relative to its largest number."""


def is_same(found: Any, expected: Any) -> bool:
    return relative_difference(found, expected) <= TOLERANCE and cosine(found, expected) >= 0.99999


@pytest.fixture(scope="module")
def random_network() -> CamPlusPlusNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = CamPlusPlusNetwork(SMALL)
        with torch.no_grad():
            randomise_batch_norm(network)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module", params=["torch", "openvino"])
def run(request: pytest.FixtureRequest, random_network: CamPlusPlusNetwork) -> Callable[..., Tensor]:
    if request.param == "torch":
        return random_network
    examples = torch.zeros(2, 250, SMALL.n_mels), torch.tensor([250, 240])
    return OpenVinoNetwork(random_network, examples, ((-1, -1, SMALL.n_mels), (-1,)), "float32")


@pytest.fixture(scope="module")
def published(random_network: CamPlusPlusNetwork) -> PublishedCamPlusPlus:
    network = PublishedCamPlusPlus(SMALL)
    network.load_state_dict(random_network.state_dict())
    return network.eval().requires_grad_(False)


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.integers(MIN_FRAMES, 30) | st.integers(MIN_FRAMES, 450), min_size=1, max_size=5),
    st.sampled_from([0.0, 1e3]),
)
def test_a_clip_in_a_batch_embeds_as_the_published_network_embeds_it_alone(
    run: Callable[..., Tensor], published: PublishedCamPlusPlus, lengths: list[int], behind: float
) -> None:
    generator = torch.Generator().manual_seed(sum(lengths))
    clips = [torch.randn(frames, SMALL.n_mels, generator=generator) for frames in lengths]
    padded = nn.utils.rnn.pad_sequence(clips, batch_first=True, padding_value=behind)

    together = run(padded, torch.tensor(lengths))

    for clip, found in zip(clips, together, strict=True):
        assert is_same(found, published(clip[None])[0])


@pytest.mark.parametrize("frames", [199, 200, 201, 400, 401])
def test_the_ends_of_segments_are_those_of_the_published_network(
    run: Callable[..., Tensor], published: PublishedCamPlusPlus, frames: int
) -> None:
    # The second half is another signal: a context of the wrong segment is another embedding.
    clip = torch.randn(frames, SMALL.n_mels)
    clip[frames // 2 :] *= 5

    assert is_same(run(clip[None], torch.tensor([frames]))[0], published(clip[None])[0])


def test_the_published_network_in_a_padded_batch_would_not_do(published: PublishedCamPlusPlus) -> None:
    clips = [torch.randn(frames, SMALL.n_mels) for frames in (60, 240)]

    found = published(nn.utils.rnn.pad_sequence(clips, batch_first=True))[0]

    assert relative_difference(found, published(clips[0][None])[0]) > 10 * TOLERANCE


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> LocatedCheckpoint:
    """The published size with random weights."""
    folder = tmp_path_factory.mktemp("campplus")
    write_checkpoint(ModelKey.SPEAKER_VOXCELEB, Size.STARTER, folder)
    return located(folder)


def located(folder: Path, model: ModelKey = ModelKey.SPEAKER_VOXCELEB) -> LocatedCheckpoint:
    return locate(model, CheckpointSource(source=str(folder), size=Size.STARTER))


@pytest.fixture(scope="module", params=["torch", "openvino"])
def network(request: pytest.FixtureRequest, checkpoint: LocatedCheckpoint) -> CamPlusPlus:
    return CamPlusPlus(checkpoint, "cpu", EngineOptions(engine=request.param, precision="float32"))


@pytest.fixture(scope="module")
def full_published(checkpoint: LocatedCheckpoint) -> PublishedCamPlusPlus:
    reference = PublishedCamPlusPlus(CamPlusPlusArchitecture())
    reference.load_state_dict(load_tensors(checkpoint.file("model.safetensors")))
    return reference.eval().requires_grad_(False)


def published_embedding(network: PublishedCamPlusPlus, waveform: Waveform) -> Tensor:
    """What 3D-Speaker's feature extraction and network answer for one clip."""
    features = kaldi.fbank(torch.tensor(waveform)[None], num_mel_bins=80, dither=0.0)
    return network((features - features.mean(dim=0))[None])[0]


def test_a_recording_embeds_as_in_the_published_recipe_alone_and_in_a_batch(
    network: CamPlusPlus, full_published: PublishedCamPlusPlus, clip: Clip
) -> None:
    clips = [clip(samples, seed) for seed, samples in enumerate((MIN_SAMPLES, 8_123, 48_000, 40_000))]

    together = network.embed(clips)

    assert together.shape == (4, 192)
    for waveform, found in zip(clips, together, strict=True):
        assert is_same(found, published_embedding(full_published, waveform))
        assert is_same(found, network.embed([waveform])[0])


def test_the_network_has_as_many_weights_as_the_published_one(network: CamPlusPlus) -> None:
    assert network.parameter_count == 6_848_544


def test_a_clip_of_the_smallest_length_embeds_and_a_shorter_one_does_not(
    network: CamPlusPlus, clip: Clip
) -> None:
    assert network.embed([clip(MIN_SAMPLES)]).isfinite().all()
    with pytest.raises(AudioTooShort, match=r"719 samples; CAM\+\+ needs 720 \(0\.045 s\)"):
        network.embed([clip(16_000), clip(MIN_SAMPLES - 1)])


def test_silence_embeds_to_finite_numbers(network: CamPlusPlus, clip: Clip) -> None:
    assert network.embed([np.zeros(16_000, np.float32), clip(20_000)]).isfinite().all()


def test_a_read_only_clip_is_taken_without_a_warning_and_not_changed(
    network: CamPlusPlus, clip: Clip
) -> None:
    waveform = clip(16_000)
    before = waveform.copy()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network.embed([waveform])

    assert np.array_equal(waveform, before)


@pytest.fixture(scope="module")
def small_network(tmp_path_factory: pytest.TempPathFactory) -> CamPlusPlus:
    """A small network through the whole front end."""
    folder = tmp_path_factory.mktemp("small-campplus")
    write_campplus(SMALL, folder)
    row = located_row(folder)
    return CamPlusPlus(row, "cpu", EngineOptions(engine="torch"))


def located_row(folder: Path) -> LocatedCheckpoint:
    found = located(folder)
    row = replace(found.row, architectures={Size.STARTER: SMALL})
    return replace(found, row=row, architecture=SMALL)


def test_tensors_of_another_size_are_refused(tmp_path: Path) -> None:
    write_campplus(SMALL, tmp_path)

    with pytest.raises(CheckpointError, match=r"model\.safetensors does not fit the architecture"):
        CamPlusPlus(located(tmp_path), "cpu")


def test_a_missing_and_an_additional_tensor_are_refused(
    checkpoint: LocatedCheckpoint, tmp_path: Path
) -> None:
    tensors = load_tensors(checkpoint.file("model.safetensors"))
    tensors["head.conv9.weight"] = tensors.pop("head.conv1.weight")
    save_campplus(tensors, tmp_path)
    shutil.copy(checkpoint.file("calibration.json"), tmp_path)

    with pytest.raises(CheckpointError, match=r"missing head\.conv1\.weight; unexpected head\.conv9\.weight"):
        CamPlusPlus(located(tmp_path), "cpu")


def test_a_checkpoint_of_another_family_is_refused(small: Checkpoints) -> None:
    with pytest.raises(CheckpointError, match="spkrec-ecapa-voxceleb is not a CAM\\+\\+ checkpoint"):
        CamPlusPlus(small(ModelKey.SPEAKER_VOXCELEB), "cpu")
