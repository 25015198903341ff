"""Writes the layout of a CAM++ checkpoint: one safetensors file with the published names."""

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from config.checkpoint_types import CamPlusPlusArchitecture
from pipelines.calibrations import CALIBRATION, SAME_SPEAKER
from pipelines.campplus import WEIGHTS
from pipelines.campplus_network import CamPlusPlusNetwork
from training.layouts.common import randomise_batch_norm


def write_campplus(architecture: CamPlusPlusArchitecture, folder: Path) -> None:
    """Write a checkpoint with random weights; its calibration takes the cosine as log-likelihood ratio."""
    network = CamPlusPlusNetwork(architecture)
    randomise_batch_norm(network)
    save_campplus(network.state_dict(), folder)
    (folder / CALIBRATION).write_text(json.dumps({SAME_SPEAKER: {"slope": 1.0, "intercept": 0.0}}))


def save_campplus(tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Write a state dict into the file of the layout."""
    contiguous = {key: tensor.contiguous() for key, tensor in tensors.items()}
    # safetensors' own writer creates files that only their owner can read.
    (folder / WEIGHTS).write_bytes(save(contiguous, metadata={"format": "pt"}))
