"""Writes checkpoints with seeded random weights in the hub's exact layouts.

Full-size ones measure speed without a download; small ones get their weights from the demo recipes.
"""

from pathlib import Path

import torch

from config.checkpoint_types import DiarizationArchitecture, EcapaArchitecture
from config.checkpoints import CHECKPOINTS
from config.settings import Size
from training.layouts.diarization import write_diarization
from training.layouts.ecapa import write_ecapa
from training.layouts.wav2vec2 import write_deepfake, write_xlsr
from voxgraph.options import ModelKey


def write_checkpoint(model: ModelKey, size: Size, folder: Path, seed: int = 0) -> None:
    """Write one checkpoint; the same seed writes the same weights.

    Args:
        model: The checkpoint whose layout is written.
        size: The architecture: ``full`` as published, or ``demo``.
        folder: Output folder, created if missing.
        seed: Seed of the weights; torch's global generator is not changed.
    """
    row = CHECKPOINTS[model]
    architecture = row.architectures[size]
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        # Two speaker encoders of one architecture must not get the same weights.
        torch.manual_seed(seed * len(ModelKey) + list(ModelKey).index(model))
        if isinstance(architecture, EcapaArchitecture):
            write_ecapa(row, architecture, folder)
        elif isinstance(architecture, DiarizationArchitecture):
            write_diarization(row, architecture, folder)
        else:
            (write_deepfake if model is ModelKey.DEEPFAKE else write_xlsr)(row, architecture, folder)
