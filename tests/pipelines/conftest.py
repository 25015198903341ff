"""Checkpoints with random weights: small ones for behaviour, full-size ones for the reference libraries."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from config.settings import CheckpointSource, Size
from pipelines.checkpoints import LocatedCheckpoint, locate
from training.layouts.writer import write_checkpoint
from voxgraph.options import ModelKey
from voxgraph.results import Waveform


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Callable[[ModelKey], LocatedCheckpoint]:
    """Return a writer of small checkpoints with random weights, written once per session."""
    return _written(tmp_path_factory.mktemp("small"), Size.SMALL)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Callable[[ModelKey], LocatedCheckpoint]:
    """Return a writer of full-size checkpoints with random weights, written once per test module."""
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
    """Return a maker of noise whose level changes over time: float32, (samples,)."""

    def make(samples: int, seed: int = 0) -> Waveform:
        generator = np.random.default_rng(seed)
        envelope = 0.1 + np.abs(np.sin(np.arange(samples) / 2_500 + seed))
        waveform: Waveform = (0.1 * envelope * generator.normal(size=samples)).astype(np.float32)
        waveform.flags.writeable = False
        return waveform

    return make
