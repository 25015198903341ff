"""Helpers that several layouts share."""

from pathlib import Path

from torch import nn

from pipelines.checkpoints import LABEL_FOOTER, LABEL_SEPARATOR


def randomise_batch_norm(module: nn.Module) -> None:
    """Draw batch norm statistics like those of a trained network: means near 0, variances near 1."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            layer.running_mean.normal_(0.0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)


def write_labels(path: Path, labels: list[str]) -> None:
    """Write labels as SpeechBrain's CategoricalEncoder does; `load_labels` reads them."""
    lines = [f"{label!r}{LABEL_SEPARATOR}{index}" for index, label in enumerate(labels)]
    footer = [LABEL_FOOTER, f"'starting_index'{LABEL_SEPARATOR}0"]
    path.write_text("\n".join([*lines, *footer]) + "\n", encoding="utf-8")
