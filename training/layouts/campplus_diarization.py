"""Writes the layout of a diarization checkpoint with CAM++: segmentation, configuration and embedding."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import save
from torch import Tensor

from config.checkpoint_types import CamPlusPlusDiarizationArchitecture
from pipelines.diarization import build_segmentation
from pipelines.diarization.campplus_diarizer import EMBEDDING, SEGMENTATION
from training.layouts.campplus import write_campplus
from training.layouts.diarization import spread_logits

PARAMETERS: dict[str, Any] = {
    "clustering": {"method": "centroid", "min_cluster_size": 12, "threshold": 0.7},
    "segmentation": {"min_duration_off": 0.0},
}
"""Hyperparameters, by default near those of pyannote's pipeline 3.1."""


def write_campplus_diarization(architecture: CamPlusPlusDiarizationArchitecture, folder: Path) -> None:
    """Write a checkpoint with random weights, with CAM++ in a folder of its own."""
    segmentation = build_segmentation(architecture)
    spread_logits(segmentation, architecture)
    save_segmentation(segmentation.state_dict(), folder)
    save_parameters(PARAMETERS, folder)
    (folder / EMBEDDING).mkdir(exist_ok=True)
    write_campplus(architecture.embedding, folder / EMBEDDING)


def save_segmentation(tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Write a state dict into the file of the layout."""
    contiguous = {key: tensor.contiguous() for key, tensor in tensors.items()}
    # safetensors' own writer creates files that only their owner can read.
    (folder / SEGMENTATION).write_bytes(save(contiguous, metadata={"format": "pt"}))


def save_parameters(parameters: Mapping[str, Any], folder: Path) -> None:
    """Write ``config.yaml`` in the format of pyannote's pipelines."""
    config = {
        "version": "3.1.0",
        "pipeline": {
            "name": "pyannote.audio.pipelines.SpeakerDiarization",
            "params": {"clustering": "AgglomerativeClustering"},
        },
        "params": dict(parameters),
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
