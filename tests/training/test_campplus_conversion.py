"""The published CAM++ becomes the starter's checkpoint: the same names, weights in float16."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from closeness import cosine

from config.checkpoint_types import CamPlusPlusArchitecture
from pipelines.campplus_network import CamPlusPlusNetwork
from pipelines.checkpoints import load_state, load_tensors
from training.layouts.common import randomise_batch_norm
from training.starter import campplus
from voxgraph.errors import CheckpointError

SMALL = CamPlusPlusArchitecture(16, 4, 16, 8, 2, (2, 3, 2), embedding_dim=12)


@pytest.fixture
def network() -> CamPlusPlusNetwork:
    network = CamPlusPlusNetwork(SMALL)
    with torch.no_grad():
        randomise_batch_norm(network)
    return network.eval().requires_grad_(False)


@pytest.fixture
def published(network: CamPlusPlusNetwork, tmp_path: Path) -> Path:
    torch.save(network.state_dict(), tmp_path / "published.pt")
    return tmp_path / "published.pt"


def test_what_is_converted_embeds_as_what_was_published(
    network: CamPlusPlusNetwork, published: Path, tmp_path: Path
) -> None:
    campplus.convert(published, tmp_path, SMALL)

    converted = CamPlusPlusNetwork(SMALL)
    load_state(converted, load_tensors(tmp_path / "model.safetensors"), "converted")
    features, frames = torch.randn(3, 120, 16), torch.tensor([120, 40, 3])
    expected, found = network(features, frames), converted.eval()(features, frames).detach()
    assert not torch.equal(found, expected)
    for one, other in zip(found, expected, strict=True):
        assert cosine(one, other) >= 0.9999


def test_the_weights_take_half_the_bytes_and_the_statistics_are_exact(
    network: CamPlusPlusNetwork, published: Path, tmp_path: Path
) -> None:
    campplus.convert(published, tmp_path, SMALL)

    found = load_tensors(tmp_path / "model.safetensors")
    for name, tensor in network.state_dict().items():
        if tensor.dim() > 1:
            assert torch.equal(found[name], tensor.half())
        else:
            assert torch.equal(found[name], tensor)


def test_another_architecture_is_refused(published: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"published\.pt does not fit the architecture"):
        campplus.convert(published, tmp_path, CamPlusPlusArchitecture())


class Harmful:
    """Makes a folder where it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def test_a_file_that_holds_more_than_tensors_is_not_run(tmp_path: Path) -> None:
    made = tmp_path / "made"
    torch.save({"weight": Harmful(made)}, tmp_path / "published.pt")

    with pytest.raises(CheckpointError, match="does not contain only tensors"):
        campplus.convert(tmp_path / "published.pt", tmp_path, SMALL)
    assert not made.exists()


def test_the_command_takes_the_published_file_and_no_other(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "to"
    monkeypatch.setattr("sys.argv", ["campplus", "--from", str(published), "--to", str(target)])

    with pytest.raises(CheckpointError, match=f"not {campplus.PUBLISHED.sha256}"):
        campplus.main()
    assert not target.exists()
