"""Writes the layout of a CAM++ checkpoint: one safetensors file with the published names."""

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from config.checkpoint_types import CamPlusPlusArchitecture
from pipelines.campplus import WEIGHTS
from pipelines.campplus_network import CamPlusPlusNetwork
from training.layouts.common import randomise_batch_norm


def write_campplus(architecture: CamPlusPlusArchitecture, folder: Path) -> None:
    """Write a checkpoint with random weights."""
    network = CamPlusPlusNetwork(architecture)
    randomise_batch_norm(network)
    save_campplus(network.state_dict(), folder)


def save_campplus(tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Write a state dict into the file of the layout."""
    contiguous = {key: tensor.contiguous() for key, tensor in tensors.items()}
    # safetensors' own writer creates files that only their owner can read.
    (folder / WEIGHTS).write_bytes(save(contiguous, metadata={"format": "pt"}))
