"""Writes the layouts of the two diarization checkpoints, with random weights."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from config.checkpoint_types import Checkpoint, DiarizationArchitecture, SegmentationArchitecture
from pipelines.diarization import build_embedding, build_segmentation
from training.layouts.common import randomise_batch_norm
from voxgraph.options import ModelKey
from voxgraph.results import SAMPLE_RATE_HZ

CLASS_BIAS = [0.5, 1.0, 1.0, 0.5, -1.0, -2.0, -2.0]
"""Biases of the powerset classes {}, 1, 2, 3, 12, 13, 23, which favour one speaker or none."""
LOGIT_DEVIATION = 2.0
LSTM_GAIN = 2.0
"""Gain of the recurrent weights: freshly initialised layers forget their input, larger weights keep it."""


def write_diarization(row: Checkpoint, architecture: DiarizationArchitecture, folder: Path) -> None:
    """Write ``config.yaml``, ``segmentation/``, ``embedding/`` and, for community-1, ``plda/``."""
    segmentation = build_segmentation(architecture)
    spread_logits(segmentation, architecture)
    save_network(segmentation, folder / "segmentation")
    embedding = build_embedding(architecture)
    randomise_batch_norm(embedding)
    save_network(embedding, folder / "embedding")
    if row.key is ModelKey.DIARIZATION_COMMUNITY_1:
        save_plda(folder / "plda", **_random_plda(architecture))
        config = _COMMUNITY_1
    else:
        config = _VERSION_31
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def spread_logits(segmentation: Any, architecture: SegmentationArchitecture) -> None:
    """Rescale a random network's logits so that classes change over time as in speech."""
    for name, parameter in segmentation.named_parameters():
        if name.startswith("lstm.weight"):
            parameter.mul_(LSTM_GAIN)
    logits: list[torch.Tensor] = []
    classifier = segmentation.classifier
    with classifier.register_forward_hook(lambda _module, _input, output: logits.append(output)):
        segmentation(0.05 * torch.randn(2, 1, round(architecture.chunk_s * SAMPLE_RATE_HZ)))
    gain = LOGIT_DEVIATION / logits[0].std(dim=(0, 1)).mean()
    mean = (logits[0] - classifier.bias).mean(dim=(0, 1))
    classifier.weight.mul_(gain)
    classifier.bias.copy_(torch.tensor(CLASS_BIAS) - gain * mean)


def save_network(model: Any, folder: Path) -> None:
    """Save ``pytorch_model.bin`` as Lightning and pyannote do, so that pyannote itself can load it."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = {
        "state_dict": model.state_dict(),
        "hyper_parameters": dict(model.hparams),
        "pytorch-lightning_version": version("lightning"),
    }
    model.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, folder / "pytorch_model.bin")


def save_plda(folder: Path, **arrays: np.ndarray) -> None:
    """Save the PLDA that VBx clustering reads.

    Args:
        folder: Output folder, created if missing.
        arrays: ``mean1``, ``mean2`` and ``lda`` reduce an embedding; ``mu``, ``tr`` and ``psi`` score it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    single = {name: array.astype(np.float32) for name, array in arrays.items()}
    np.savez(folder / "xvec_transform.npz", mean1=single["mean1"], mean2=single["mean2"], lda=single["lda"])
    np.savez(folder / "plda.npz", mu=single["mu"], tr=single["tr"], psi=single["psi"])


def _random_plda(architecture: DiarizationArchitecture) -> dict[str, np.ndarray]:
    wide, narrow = architecture.embedding_dim, architecture.plda_dim
    orthonormal = torch.linalg.qr(torch.randn(wide, wide))[0][:, :narrow]
    return {
        "mean1": np.zeros(wide), "mean2": np.zeros(narrow), "lda": orthonormal.numpy(),
        "mu": np.zeros(narrow), "tr": np.eye(narrow), "psi": np.linspace(2.0, 0.1, narrow),
    }  # fmt: skip


_VERSION_31: dict[str, Any] = {
    "version": "3.1.0",
    "pipeline": {
        "name": "pyannote.audio.pipelines.SpeakerDiarization",
        "params": {
            "clustering": "AgglomerativeClustering",
            "embedding": "pyannote/wespeaker-voxceleb-resnet34-LM",
            "embedding_batch_size": 32,
            "embedding_exclude_overlap": True,
            "segmentation": "pyannote/segmentation-3.0",
            "segmentation_batch_size": 32,
        },
    },
    "params": {
        "clustering": {"method": "centroid", "min_cluster_size": 12, "threshold": 0.7045654963945799},
        "segmentation": {"min_duration_off": 0.0},
    },
}
_COMMUNITY_1: dict[str, Any] = {
    "dependencies": {"pyannote.audio": "4.0.0"},
    "pipeline": {
        "name": "pyannote.audio.pipelines.SpeakerDiarization",
        "params": {
            "clustering": "VBxClustering",
            "segmentation": "$model/segmentation",
            "segmentation_batch_size": 32,
            "embedding": "$model/embedding",
            "embedding_batch_size": 32,
            "embedding_exclude_overlap": True,
            "plda": "$model/plda",
        },
    },
    "params": {
        "clustering": {"threshold": 0.6, "Fa": 0.07, "Fb": 0.8},
        "segmentation": {"min_duration_off": 0.0},
    },
}
