"""Checkpoints with random weights: small ones for behaviour, full-size ones for the reference libraries."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import pipelines.ecapa  # noqa: F401 (for the modules it brings)
from config.settings import CheckpointSource, Size
from pipelines.checkpoints import LocatedCheckpoint, locate
from training.layouts.writer import write_checkpoint
from voxgraph.options import ModelKey
from voxgraph.results import Waveform

for name, module in list(sys.modules.items()):
    # Hypothesis asks every module for its file; SpeechBrain's lazy ones answer by importing what is not
    # installed.
    if name.startswith("speechbrain.") and "__file__" not in vars(module):
        vars(module)["__file__"] = None


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Callable[[ModelKey], LocatedCheckpoint]:
    """A checkpoint of the demo's size with random weights, written once."""
    return _written(tmp_path_factory.mktemp("small"), Size.DEMO)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Callable[[ModelKey], LocatedCheckpoint]:
    """A full-size checkpoint with random weights, written once a module."""
    return _written(tmp_path_factory.mktemp("full"), Size.FULL)


def _written(root: Path, size: Size) -> Callable[[ModelKey], LocatedCheckpoint]:
    def write(model: ModelKey) -> LocatedCheckpoint:
        folder: Path = root / model
        if not folder.exists():
            write_checkpoint(model, size, folder)
        return locate(model, CheckpointSource(source=str(folder), size=size))

    return write


@pytest.fixture
def clip() -> Callable[..., Waveform]:
    """Noise in bursts, so that its spectrum changes: (samples,) float32."""

    def make(samples: int, seed: int = 0) -> Waveform:
        generator = np.random.default_rng(seed)
        envelope = 0.1 + np.abs(np.sin(np.arange(samples) / 2_500 + seed))
        waveform: Waveform = (0.1 * envelope * generator.normal(size=samples)).astype(np.float32)
        waveform.flags.writeable = False
        return waveform

    return make
