"""Read the hyperparameters of a pyannote ``config.yaml`` as data.

Replaces `pyannote.audio.core.pipeline.Pipeline.from_pretrained`, which imports and calls what the file names.
"""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voxgraph.errors import CheckpointError


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Pipeline(_Strict):
    name: Literal["pyannote.audio.pipelines.SpeakerDiarization"]
    params: dict[str, Any]


class _File(_Strict):
    """Schema of a whole file; it rejects ``preprocessors``, which pyannote would instantiate."""

    version: str | None = None
    dependencies: dict[str, str] = {}
    pipeline: _Pipeline
    params: dict[str, dict[str, float | str]]


class PipelineConfig(BaseModel):
    """Hyperparameters of a diarization pipeline."""

    model_config = ConfigDict(frozen=True)

    clustering: Literal["VBxClustering", "AgglomerativeClustering"]
    embedding_exclude_overlap: bool = False
    segmentation_batch_size: int = Field(32, ge=1)
    """Windows of 10 s in one forward pass of the segmentation."""
    embedding_batch_size: int = Field(32, ge=1)
    """(Window, speaker) pairs in one forward pass of the embedding."""
    params: dict[str, dict[str, float | str]]
    """Thresholds of clustering and segmentation, by pipeline step."""


def read_pipeline_config(path: Path) -> PipelineConfig:
    """Read a ``config.yaml`` without instantiating anything.

    Raises:
        CheckpointError: The file is damaged, names another pipeline, or lists preprocessors.
    """
    try:
        file = _File.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        return PipelineConfig.model_validate(file.pipeline.params | {"params": file.params})
    except (yaml.YAMLError, ValidationError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"{path.name} is not the configuration of a diarization pipeline: {error}"
        ) from error
