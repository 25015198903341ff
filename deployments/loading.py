"""Which models a graph has, and which pipeline each of them loads. No Ray: `deployments.local` has none."""

import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from config.checkpoint_types import (
    AccentHeadArchitecture,
    Architecture,
    CamPlusPlusArchitecture,
    CamPlusPlusDiarizationArchitecture,
    DeepfakeHeadArchitecture,
    DiarizationArchitecture,
    WhisperArchitecture,
)
from config.settings import STARTER, EngineOptions, GraphSettings
from config.starter_checkpoints import STARTER_CHECKPOINTS
from voxgraph.errors import InvalidOptions
from voxgraph.options import AccentModel, ModelKey
from voxgraph.results import Waveform

if TYPE_CHECKING:
    from deployments.replica.model_replica import Pipeline
    from pipelines.checkpoints import LocatedCheckpoint
    from pipelines.diarization.conversation import WindowDiarizer

PIPELINES: dict[ModelKey, str] = {
    ModelKey.LANGUAGE: "pipelines.language:LanguageIdentifier",
    ModelKey.SPEAKER_VOXCELEB: "pipelines.speaker:SpeakerEncoder",
    ModelKey.SPEAKER_CNCELEB: "pipelines.speaker:SpeakerEncoder",
    ModelKey.ACCENT_XLSR: "pipelines.accent_xlsr:XlsrAccentClassifier",
    ModelKey.ACCENT_ECAPA: "pipelines.accent:EcapaAccentClassifier",
    ModelKey.DEEPFAKE: "pipelines.deepfake:DeepfakeDetector",
}
"""Module and class of each pipeline that takes one recording and nothing else; a class takes a located
checkpoint, a device and `EngineOptions`."""

FAMILIES: dict[type[Architecture], str] = {
    WhisperArchitecture: "pipelines.language_whisper:WhisperLanguageIdentifier",
    AccentHeadArchitecture: "pipelines.accent_whisper:WhisperAccentClassifier",
    CamPlusPlusArchitecture: "pipelines.speaker_campplus:CamPlusPlusEncoder",
    DeepfakeHeadArchitecture: "pipelines.deepfake_whisper:WhisperDeepfakeDetector",
}
"""Pipelines of architectures that answer a model's question in place of its pipeline in `PIPELINES`."""

DIARIZERS: dict[type[Architecture], str] = {
    DiarizationArchitecture: "pipelines.diarization:Diarizer",
    CamPlusPlusDiarizationArchitecture: "pipelines.diarization.campplus_diarizer:CamPlusPlusDiarizer",
}
"""Module and class of the diarization pipeline of each architecture."""

ACCENT_MODELS: dict[AccentModel, ModelKey] = {"xlsr": ModelKey.ACCENT_XLSR, "ecapa": ModelKey.ACCENT_ECAPA}


def load_pipeline(
    model: ModelKey, checkpoint: "LocatedCheckpoint", device: str, engine: EngineOptions
) -> "Pipeline[Waveform, Any]":
    """Import the pipeline that these tables give a model with the checkpoint's architecture, and load it."""
    name = FAMILIES.get(type(checkpoint.architecture), PIPELINES[model])
    load: Callable[..., Pipeline[Waveform, Any]] = pkgutil.resolve_name(name)
    return load(checkpoint, device, engine)


def load_diarizer(checkpoint: "LocatedCheckpoint", device: str, engine: EngineOptions) -> "WindowDiarizer":
    """Import the diarization pipeline of the checkpoint's architecture, and load it."""
    load: Callable[..., WindowDiarizer] = pkgutil.resolve_name(DIARIZERS[type(checkpoint.architecture)])
    return load(checkpoint, device, engine)


def served_models(settings: GraphSettings) -> list[ModelKey]:
    """Return the models of a graph: all of them, but only the diarization pipeline that its settings name."""
    diarizations = {ModelKey.DIARIZATION_31, ModelKey.DIARIZATION_COMMUNITY_1}
    return [key for key in ModelKey if key not in diarizations or key == settings.diarization]


def deployed_models(settings: GraphSettings) -> dict[ModelKey, ModelKey]:
    """Return for each model of a graph the model whose deployment answers for it, which is mostly itself.

    A starter checkpoint that takes the places of two models is loaded once, for the first of them, unless
    their engines differ. Then only the first has a deployment, and a place in a configuration file.
    """
    first: dict[object, ModelKey] = {}
    deployed = {}
    for key in served_models(settings):
        source = settings.checkpoint(key)
        folder = STARTER_CHECKPOINTS[key].starter_folder if source.source == STARTER else None
        deployed[key] = first.setdefault((folder, settings.engine(key)) if folder else key, key)
    return deployed


def read_settings(config: Path) -> GraphSettings:
    """Return the settings of the graph of a Serve configuration file; nothing else in it is read.

    Raises:
        InvalidOptions: There is no such file, or it is not one.
    """
    try:
        (application,) = yaml.safe_load(config.read_text())["applications"]
        return GraphSettings.model_validate(application.get("args", {}))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError, TypeError, LookupError) as error:
        raise InvalidOptions(f"{config} is not a Serve configuration file of voxgraph: {error}") from error
