"""Load the starter checkpoint of diarization: pyannote's segmentation, CAM++ and centroid linkage."""

from typing import Any

import torch

from config.checkpoint_types import CamPlusPlusDiarizationArchitecture
from config.settings import STARTER, CheckpointSource, EngineOptions, Size
from pipelines.campplus import WEIGHTS, CamPlusPlus
from pipelines.checkpoints import LocatedCheckpoint, Unfilled, load_state, load_tensors, locate
from pipelines.diarization.config import PipelineConfig, read_pipeline_config
from pipelines.diarization.conversation import WindowDiarizer
from pipelines.diarization.networks import build_segmentation
from pipelines.diarization.voices import VoiceAnalyzer
from pipelines.diarization.windows import max_segmentation_batch
from pipelines.vendored.pyannote import AgglomerativeClustering, Inference
from voxgraph.errors import CheckpointError
from voxgraph.options import ModelKey

SEGMENTATION = "segmentation.safetensors"
"""File of the checkpoint: the published state dict with unchanged names."""
EMBEDDING = "embedding"
"""Folder of the layout with CAM++."""
HOP_RATIO = 0.1
"""Distance between the starts of two windows, as a share of their length; pyannote's default."""


class CamPlusPlusDiarizer(WindowDiarizer):
    """Find the turns of conversations with embeddings of each speaker's own frames; not thread-safe.

    The speakers of a window are assigned to distinct clusters.

    Args:
        checkpoint: The starter checkpoint of `ModelKey.DIARIZATION_31` or `ModelKey.DIARIZATION_COMMUNITY_1`.
        device: ``cpu`` or ``cuda:0``.
        options: Engine and precision of CAM++; the segmentation runs on its engine, always in float32.

    Raises:
        CheckpointError: Tensors or configuration do not fit, or the engine is unavailable.
    """

    windows: VoiceAnalyzer

    def __init__(
        self, checkpoint: LocatedCheckpoint, device: str, options: EngineOptions = EngineOptions()
    ) -> None:
        architecture = checkpoint.architecture
        if not isinstance(architecture, CamPlusPlusDiarizationArchitecture):
            raise CheckpointError(f"{checkpoint.row.hub_id} is not a diarization checkpoint with CAM++.")
        config = read_pipeline_config(checkpoint.file("config.yaml"))
        with Unfilled():
            segmentation = build_segmentation(architecture)
        name = f"{checkpoint.row.hub_id} {SEGMENTATION}"
        load_state(segmentation, load_tensors(checkpoint.file(SEGMENTATION)), name)
        inference = Inference(
            segmentation,
            duration=architecture.chunk_s,
            step=HOP_RATIO * architecture.chunk_s,
            skip_aggregation=True,
            batch_size=max_segmentation_batch(device),
            device=torch.device(device),
        )
        encoder = _locate_embedding(checkpoint)
        embedding = CamPlusPlus(encoder, device, options)
        parameters = sum(weights.numel() for weights in segmentation.parameters())
        super().__init__(
            VoiceAnalyzer(inference, embedding, checkpoint.identity),
            _clustering(config),
            segmentation.receptive_field,
            _min_duration_off(config),
            checkpoint.info(device, parameters + embedding.parameter_count, choice=embedding.choice),
            space=(encoder.row.hub_id, encoder.revision),
            as_pyannote=False,
        )


def _locate_embedding(checkpoint: LocatedCheckpoint) -> LocatedCheckpoint:
    """Return the checkpoint of CAM++, whose identity is that of the speaker encoder with the same files."""
    folder = checkpoint.file(f"{EMBEDDING}/{WEIGHTS}").parent
    source = STARTER if checkpoint.source == STARTER else str(folder)
    return locate(ModelKey.SPEAKER_VOXCELEB, CheckpointSource(source=source, size=Size.STARTER))


def _clustering(config: PipelineConfig) -> AgglomerativeClustering:
    """Return the clustering with its hyperparameters.

    Raises:
        CheckpointError: Hyperparameters are missing, or are those of another clustering.
    """
    if config.clustering != "AgglomerativeClustering":
        raise CheckpointError(f"config.yaml names {config.clustering}, not AgglomerativeClustering.")
    clustering: Any = AgglomerativeClustering(constrained_assignment=True)
    try:
        clustering.instantiate(config.params.get("clustering", {}))
    except ValueError as error:
        raise CheckpointError(f"config.yaml does not fit the clustering: {error}") from error
    if not clustering.instantiated:
        raise CheckpointError("config.yaml lacks hyperparameters of the clustering.")
    return clustering


def _min_duration_off(config: PipelineConfig) -> float:
    """Return the length of gaps to close in seconds.

    Raises:
        CheckpointError: It is missing, or no length.
    """
    seconds = config.params.get("segmentation", {}).get("min_duration_off")
    if not isinstance(seconds, float | int) or seconds < 0:
        raise CheckpointError("config.yaml: segmentation.min_duration_off is not a length in seconds.")
    return float(seconds)
