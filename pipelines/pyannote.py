"""What is used of pyannote.audio.

It imports Lightning and torchmetrics with everything else, and they take two thirds of the time and a fifth
of the memory. In a process that imports this module, pyannote can neither train nor load its checkpoints
itself, unless ``pyannote.audio`` was imported before.
"""

import inspect
import os
from typing import Any

import torch
from torch import nn

from pipelines.stand_ins import stand_ins

# It starts an exporter to its makers' server at import: it must find this before.
os.environ["PYANNOTE_METRICS_ENABLED"] = "false"


class _Parameters(dict[str, Any]):
    """Also attributes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class _LightningModule(nn.Module):
    """What pyannote's networks use of Lightning's to be built and to infer."""

    hparams: _Parameters

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def save_hyperparameters(self, *names: str) -> None:
        """Keep arguments of the caller."""
        frame = inspect.currentframe()
        caller = frame and frame.f_back
        assert caller is not None
        arguments = caller.f_locals
        kept = vars(self).setdefault("hparams", _Parameters())
        kept.update({name: arguments[name] for name in names})


def _is_oom_error(exception: BaseException) -> bool:
    """As Lightning finds it."""
    from lightning.pytorch.utilities.memory import is_oom_error

    return bool(is_oom_error(exception))


_TRAINERS: dict[str, dict[str, object]] = {
    "lightning": {"LightningModule": _LightningModule, "LightningDataModule": object},
    "lightning.fabric.utilities.cloud_io": {"_load": None},
    "lightning.pytorch.utilities.memory": {"is_oom_error": _is_oom_error},
    "lightning.pytorch.utilities.model_summary.model_summary": {"ModelSummary": None},
    "torchmetrics": {"Metric": object, "MetricCollection": object},
}

with stand_ins(_TRAINERS):
    from pyannote.audio.core.inference import Inference
    from pyannote.audio.core.plda import PLDA
    from pyannote.audio.core.task import Problem, Resolution, Specifications
    from pyannote.audio.models.embedding.wespeaker import WeSpeakerResNet34
    from pyannote.audio.models.embedding.wespeaker.resnet import BasicBlock, ResNet
    from pyannote.audio.models.segmentation import PyanNet
    from pyannote.audio.pipelines import clustering
    from pyannote.audio.pipelines.clustering import AgglomerativeClustering, VBxClustering
    from pyannote.audio.pipelines.speaker_diarization import SpeakerDiarization
    from pyannote.audio.pipelines.speaker_verification import PyannoteAudioPretrainedSpeakerEmbedding

__all__ = [
    "PLDA",
    "AgglomerativeClustering",
    "BasicBlock",
    "Inference",
    "Problem",
    "PyanNet",
    "PyannoteAudioPretrainedSpeakerEmbedding",
    "ResNet",
    "Resolution",
    "SpeakerDiarization",
    "Specifications",
    "VBxClustering",
    "WeSpeakerResNet34",
    "clustering",
]
