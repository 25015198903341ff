"""Import the parts of pyannote.audio that the pipelines use.

pyannote.audio also imports modules for training, tuning, metrics, plots, downloads and telemetry: 90 % of its
import time and 400 MB. Stubs replace them, so in this process pyannote can do none of these and cannot load
its own checkpoints, unless ``pyannote.audio`` was imported before this module.
"""

import inspect
import os
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import nn

from pipelines.vendored.stubbed_modules import stubbed_modules

# pyannote starts its telemetry exporter at import, so this must be set before.
os.environ["PYANNOTE_METRICS_ENABLED"] = "false"


class _Parameters(dict[str, Any]):
    """A dict whose keys are also attributes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class _LightningModule(nn.Module):
    """The part of LightningModule that pyannote's networks need for construction and inference."""

    hparams: _Parameters

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def save_hyperparameters(self, *names: str) -> None:
        """Save the named arguments of the calling function in `hparams`."""
        frame = inspect.currentframe()
        caller = frame and frame.f_back
        assert caller is not None
        hparams = vars(self).setdefault("hparams", _Parameters())
        hparams.update({name: caller.f_locals[name] for name in names})


def _is_oom_error(exception: BaseException) -> bool:
    """Call Lightning's `is_oom_error`, importing it on demand."""
    from lightning.pytorch.utilities.memory import is_oom_error

    return bool(is_oom_error(exception))


def k_means(*args: Any, **kwargs: Any) -> Any:
    """Create scikit-learn's KMeans, imported on demand: only a given number of speakers needs it."""
    from sklearn.cluster import KMeans

    return KMeans(*args, **kwargs)


def replace_linkage(linkage: Callable[..., Any]) -> None:
    """Replace scipy's ``linkage`` in pyannote's agglomerative clustering."""
    clustering.linkage = linkage


def _no_telemetry(*args: Any, **kwargs: Any) -> None:
    """Do nothing, in place of pyannote's telemetry functions."""


_STUBS: dict[str, dict[str, object]] = {
    "lightning": {"LightningModule": _LightningModule, "LightningDataModule": object},
    "lightning.fabric.utilities.cloud_io": {"_load": None},
    "lightning.pytorch.utilities.memory": {"is_oom_error": _is_oom_error},
    "lightning.pytorch.utilities.model_summary.model_summary": {"ModelSummary": None},
    "torchcodec": {"AudioSamples": object},
    "torchcodec.decoders": {"AudioDecoder": object, "AudioStreamMetadata": object},
    "torchmetrics": {"Metric": object, "MetricCollection": object},
    "networkx": {"Graph": object},
    "optuna.trial": {"Trial": object},
    "huggingface_hub": {"hf_hub_download": None},
    "huggingface_hub.utils": {"RepositoryNotFoundError": OSError},
    "pyannote.audio.core.calibration": {"Calibration": object},
    "pyannote.audio.pipelines.multilabel": {"MultiLabelSegmentation": None},
    "pyannote.audio.pipelines.speech_separation": {"SpeechSeparation": None},
    "pyannote.audio.pipelines.voice_activity_detection": {"VoiceActivityDetection": None},
    "pyannote.audio.telemetry": dict.fromkeys(
        ("track_model_init", "track_pipeline_apply", "track_pipeline_init"), _no_telemetry
    ),
    "pyannote.audio.utils.hf_hub": {"AssetFileName": None, "download_from_hf_hub": None},
    "pyannote.core.notebook": {"notebook": None},
    "pyannote.database": {"FileFinder": None, "Protocol": None, "ProtocolFile": None, "get_annotated": None},
    "pyannote.database.protocol": {"SpeakerVerificationProtocol": object},
    "pyannote.database.protocol.protocol": {"Scope": Literal[""], "Subset": Literal[""]},
    "pyannote.metrics.diarization": {"DiarizationErrorRate": None, "GreedyDiarizationErrorRate": None},
    "pyannote.pipeline.optimizer": {"Optimizer": None},
    "scipy.signal": {},
    "scipy.stats": {"bayes_mvs": None},
    "sklearn.cluster": {"KMeans": k_means},
    "sklearn.isotonic": {"IsotonicRegression": object},
    "sklearn.utils.validation": {"NotFittedError": ValueError, "check_is_fitted": None},
    # With an empty module, pyannote assumes that SpeechBrain is not installed.
    "speechbrain.inference": {},
}
"""Attributes of modules that pyannote imports and that we do not need, except `k_means`, by module name."""

with stubbed_modules(_STUBS):
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
    from pyannote.core import SlidingWindow

__all__ = [
    "PLDA", "AgglomerativeClustering", "BasicBlock", "Inference", "Problem", "PyanNet",
    "PyannoteAudioPretrainedSpeakerEmbedding", "ResNet", "Resolution", "SlidingWindow", "SpeakerDiarization",
    "Specifications", "VBxClustering", "WeSpeakerResNet34", "k_means", "replace_linkage",
]  # fmt: skip
