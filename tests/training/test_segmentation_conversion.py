"""The published segmentation becomes the starter's checkpoint: the same names and values."""

from pathlib import Path

import pytest
import torch

from config.checkpoint_types import CamPlusPlusDiarizationArchitecture, SegmentationArchitecture
from pipelines.checkpoints import load_tensors
from pipelines.diarization import build_segmentation
from training.layouts.diarization import save_network
from training.starter import segmentation
from voxgraph.errors import CheckpointError

SMALL = SegmentationArchitecture(lstm_hidden_size=8, lstm_layers=1, linear_hidden_size=8)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    save_network(build_segmentation(SMALL), tmp_path)
    return tmp_path / "pytorch_model.bin"


def test_what_is_converted_has_the_published_names_and_values(published: Path, tmp_path: Path) -> None:
    segmentation.convert(published, tmp_path, SMALL)

    expected = torch.load(published, weights_only=False)["state_dict"]
    found = load_tensors(tmp_path / "segmentation.safetensors")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_another_architecture_is_refused(published: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not fit the architecture"):
        segmentation.convert(published, tmp_path, CamPlusPlusDiarizationArchitecture())


def test_the_command_takes_the_published_file_and_no_other(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "to"
    monkeypatch.setattr("sys.argv", ["segmentation", "--from", str(published), "--to", str(target)])

    with pytest.raises(CheckpointError, match="SHA-256"):
        segmentation.main()
    assert not target.exists()
