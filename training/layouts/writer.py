"""Writes checkpoints with seeded random weights in the exact layouts of the hub and of the starters.

Full-size ones measure speed without a download, and small ones are for tests.
"""

from pathlib import Path

import torch

from config.checkpoint_types import (
    CamPlusPlusArchitecture,
    CamPlusPlusDiarizationArchitecture,
    DiarizationArchitecture,
    EcapaArchitecture,
    WhisperArchitecture,
    WhisperHeadArchitecture,
)
from config.checkpoints import row_for
from config.settings import CheckpointSource, Family, Size
from training.layouts.campplus import write_campplus
from training.layouts.campplus_diarization import write_campplus_diarization
from training.layouts.diarization import write_diarization
from training.layouts.ecapa import write_ecapa
from training.layouts.wav2vec2 import write_deepfake, write_xlsr
from training.layouts.whisper import write_whisper, write_whisper_head
from voxgraph.options import ModelKey


def write_checkpoint(
    model: ModelKey, size: Size, folder: Path, seed: int = 0, family: Family | None = None
) -> None:
    """Write one checkpoint; the same seed writes the same weights.

    Args:
        model: The checkpoint whose layout is written.
        size: The architecture: ``full`` as published, ``small`` or ``starter``.
        folder: Output folder, created if missing.
        seed: Seed of the weights; torch's global generator is not changed.
        family: Kind of network; None: that of the model's row.
    """
    row = row_for(model, CheckpointSource(size=size, family=family))
    architecture = row.architectures[size]
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        # Two speaker encoders of one architecture must not get the same weights.
        torch.manual_seed(seed * len(ModelKey) + list(ModelKey).index(model))
        if isinstance(architecture, EcapaArchitecture):
            write_ecapa(row, architecture, folder)
        elif isinstance(architecture, DiarizationArchitecture):
            write_diarization(row, architecture, folder)
        elif isinstance(architecture, WhisperArchitecture):
            write_whisper(row, architecture, folder)
        elif isinstance(architecture, WhisperHeadArchitecture):
            write_whisper_head(architecture, folder)
        elif isinstance(architecture, CamPlusPlusArchitecture):
            write_campplus(architecture, folder)
        elif isinstance(architecture, CamPlusPlusDiarizationArchitecture):
            write_campplus_diarization(architecture, folder)
        elif model is ModelKey.DEEPFAKE:
            write_deepfake(row, architecture, folder)
        else:
            write_xlsr(row, architecture, folder)
