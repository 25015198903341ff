"""Load a diarization checkpoint of pyannote's: segmentation, ResNet embedding and clustering."""

from typing import Any

import numpy as np
import torch

from config.checkpoint_types import DiarizationArchitecture
from config.settings import EngineOptions
from pipelines.checkpoints import READ_ERRORS, LocatedCheckpoint, Unfilled, load_state
from pipelines.diarization.clustering import NoPlda
from pipelines.diarization.config import PipelineConfig, read_pipeline_config
from pipelines.diarization.conversation import WindowDiarizer
from pipelines.diarization.networks import build_embedding, build_segmentation, load_lightning
from pipelines.diarization.windows import WindowAnalyzer, max_segmentation_batch
from pipelines.engines.select import Network, choose
from pipelines.vendored.pyannote import PLDA, SpeakerDiarization
from voxgraph.errors import CheckpointError


class Diarizer(WindowDiarizer):
    """Find the turns of conversations with pyannote's networks; not thread-safe.

    Args:
        checkpoint: The located `ModelKey.DIARIZATION_31` or `ModelKey.DIARIZATION_COMMUNITY_1`.
        device: ``cpu`` or ``cuda:0``.
        options: Engine and precision of the networks; the segmentation always runs in float32, pooling and
            clustering always with torch and numpy.

    Raises:
        CheckpointError: Tensors or configuration do not fit, or the engine is unavailable.
    """

    windows: WindowAnalyzer

    def __init__(
        self, checkpoint: LocatedCheckpoint, device: str, options: EngineOptions = EngineOptions()
    ) -> None:
        architecture = checkpoint.architecture
        if not isinstance(architecture, DiarizationArchitecture):
            raise CheckpointError(f"{checkpoint.row.hub_id} is not a diarization checkpoint.")
        config = read_pipeline_config(checkpoint.file("config.yaml"))
        name = checkpoint.row.hub_id
        with Unfilled():
            segmentation = build_segmentation(architecture)
            embedding = build_embedding(architecture)
        tensors = load_lightning(checkpoint.file("segmentation/pytorch_model.bin"))
        load_state(segmentation, tensors, f"{name} segmentation")
        tensors = load_lightning(checkpoint.file("embedding/pytorch_model.bin"))
        load_state(embedding, tensors, f"{name} embedding")
        pipeline: Any = SpeakerDiarization(
            segmentation=segmentation,
            embedding=embedding,
            plda=_load_plda(checkpoint, architecture, config) or NoPlda(),
            clustering=config.clustering,
            segmentation_batch_size=min(config.segmentation_batch_size, max_segmentation_batch(device)),
        ).to(torch.device(device))
        _instantiate(pipeline, config)
        choice = choose(options, device, Network.RESNET, checkpoint.size)
        windows = WindowAnalyzer(
            pipeline._segmentation,
            pipeline._embedding,
            choice,
            checkpoint.identity,
            exclude_overlap=config.embedding_exclude_overlap,
            embedding_batch_size=config.embedding_batch_size,
        )
        parameters = sum(p.numel() for model in (segmentation, embedding) for p in model.parameters())
        super().__init__(
            windows,
            pipeline.clustering,
            segmentation.receptive_field,
            pipeline.segmentation.min_duration_off,
            checkpoint.info(device, parameters, choice=choice),
        )


def _instantiate(pipeline: Any, config: PipelineConfig) -> None:
    """Set the hyperparameters of a pipeline.

    Raises:
        CheckpointError: Hyperparameters are missing or belong to another pipeline.
    """
    try:
        pipeline.instantiate(config.params)
    except ValueError as error:
        raise CheckpointError(f"config.yaml does not fit the pipeline: {error}") from error
    if not pipeline.instantiated:
        raise CheckpointError("config.yaml lacks hyperparameters of the pipeline.")


def _load_plda(
    checkpoint: LocatedCheckpoint, architecture: DiarizationArchitecture, config: PipelineConfig
) -> PLDA | None:
    """Load the PLDA with which VBx scores embeddings; return None for a pipeline without VBx.

    Raises:
        CheckpointError: A file is damaged or has other dimensions.
    """
    if config.clustering != "VBxClustering":
        return None
    transform, plda = checkpoint.file("plda/xvec_transform.npz"), checkpoint.file("plda/plda.npz")
    try:
        loaded = PLDA(transform, plda)
        found = loaded(np.ones((1, architecture.embedding_dim)))
    except READ_ERRORS as error:
        raise CheckpointError(f"{checkpoint.row.hub_id}: the PLDA is damaged: {error}") from error
    expected = (1, architecture.plda_dim)
    if found.shape != expected or loaded.phi.shape != expected[1:] or not np.isfinite(found).all():
        raise CheckpointError(
            f"{checkpoint.row.hub_id}: the PLDA does not fit the architecture: "
            f"{found.shape[1]} dimensions and {len(loaded.phi)} variances, not {architecture.plda_dim}."
        )
    return loaded
