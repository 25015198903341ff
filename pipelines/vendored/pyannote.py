"""What is used of pyannote.audio.

With everything else it imports what trains, tunes, measures, draws, downloads and reports: nine tenths of
the time and 400 MB. In a process that imports this module, pyannote can do none of these nor load its
checkpoints itself, unless ``pyannote.audio`` was imported before.
"""

import inspect
import os
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import nn

from pipelines.vendored.stubbed_modules import stubbed_modules

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


def k_means(*args: Any, **kwargs: Any) -> Any:
    """scikit-learn's, imported when it is wanted: only where the number of speakers is known."""
    from sklearn.cluster import KMeans

    return KMeans(*args, **kwargs)


def replace_linkage(linkage: Callable[..., Any]) -> None:
    """Let pyannote's agglomerative clustering use another function in place of scipy's ``linkage``."""
    clustering.linkage = linkage


def _tell_nobody(*args: Any, **kwargs: Any) -> None:
    """In the place of what reports its use to pyannote's makers."""


_UNUSED: dict[str, dict[str, object]] = {
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
        ("track_model_init", "track_pipeline_apply", "track_pipeline_init"), _tell_nobody
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
    # Without a name in it, pyannote finds that SpeechBrain is not installed.
    "speechbrain.inference": {},
}
"""What the modules below import and our use of them does not need; `k_means` it may."""

with stubbed_modules(_UNUSED):
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
    "PLDA",
    "AgglomerativeClustering",
    "BasicBlock",
    "Inference",
    "Problem",
    "PyanNet",
    "PyannoteAudioPretrainedSpeakerEmbedding",
    "ResNet",
    "Resolution",
    "SlidingWindow",
    "SpeakerDiarization",
    "Specifications",
    "VBxClustering",
    "WeSpeakerResNet34",
    "k_means",
    "replace_linkage",
]
