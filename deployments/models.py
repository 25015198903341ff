"""Deployment of the models that take one recording and nothing else, and the pipeline that each loads."""

import pkgutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from config.checkpoint_types import (
    AccentHeadArchitecture,
    Architecture,
    CamPlusPlusArchitecture,
    DeepfakeHeadArchitecture,
    WhisperArchitecture,
)
from config.settings import EngineOptions
from deployments.replica.model_replica import Pipeline, WaveformReplica
from voxgraph.options import ModelKey
from voxgraph.results import Waveform

if TYPE_CHECKING:
    from pipelines.checkpoints import LocatedCheckpoint

PIPELINES: dict[ModelKey, str] = {
    ModelKey.LANGUAGE: "pipelines.language:LanguageIdentifier",
    ModelKey.SPEAKER_VOXCELEB: "pipelines.speaker:SpeakerEncoder",
    ModelKey.SPEAKER_CNCELEB: "pipelines.speaker:SpeakerEncoder",
    ModelKey.ACCENT_XLSR: "pipelines.accent_xlsr:XlsrAccentClassifier",
    ModelKey.ACCENT_ECAPA: "pipelines.accent:EcapaAccentClassifier",
    ModelKey.DEEPFAKE: "pipelines.deepfake:DeepfakeDetector",
}
"""Module and class of each pipeline; a class takes a located checkpoint, a device and `EngineOptions`."""

FAMILIES: dict[type[Architecture], str] = {
    WhisperArchitecture: "pipelines.language_whisper:WhisperLanguageIdentifier",
    AccentHeadArchitecture: "pipelines.accent_whisper:WhisperAccentClassifier",
    CamPlusPlusArchitecture: "pipelines.speaker_campplus:CamPlusPlusEncoder",
    DeepfakeHeadArchitecture: "pipelines.deepfake_whisper:WhisperDeepfakeDetector",
}
"""Pipelines of architectures that answer a model's question in place of its pipeline in `PIPELINES`."""


class WaveformModel(WaveformReplica[Any]):
    """Serves a pipeline of these tables; `deployments.replica` adds device, batcher, health and metrics."""

    def load_pipeline(
        self, checkpoint: "LocatedCheckpoint", device: str, engine: EngineOptions
    ) -> Pipeline[Waveform, Any]:
        """Import the pipeline, and thereby torch, and load the checkpoint."""
        return load_pipeline(self._model, checkpoint, device, engine)


def load_pipeline(
    model: ModelKey, checkpoint: "LocatedCheckpoint", device: str, engine: EngineOptions
) -> Pipeline[Waveform, Any]:
    """Load the pipeline that these tables give a model with the checkpoint's architecture."""
    name = FAMILIES.get(type(checkpoint.architecture), PIPELINES[model])
    load: Callable[..., Pipeline[Waveform, Any]] = pkgutil.resolve_name(name)
    return load(checkpoint, device, engine)
