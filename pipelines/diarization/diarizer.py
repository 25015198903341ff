"""Diarize a recording: run the networks on windows, cluster the embeddings, build the turns.

Mirrors `SpeakerDiarization.apply` in `pyannote.audio.pipelines.speaker_diarization`, with the same output.
"""

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from config.checkpoint_types import DiarizationArchitecture
from config.settings import EngineOptions
from pipelines.checkpoints import READ_ERRORS, LocatedCheckpoint, Unfilled, load_state
from pipelines.diarization.clustering import NoPlda, cluster
from pipelines.diarization.config import PipelineConfig, read_pipeline_config
from pipelines.diarization.networks import build_embedding, build_segmentation, load_lightning
from pipelines.diarization.turns import Timeline, activations, speaker_count, to_turns, top_speakers
from pipelines.diarization.windows import ProgressCallback, WindowAnalyzer, max_segmentation_batch
from pipelines.engines.select import Network, choose
from pipelines.vendored.pyannote import PLDA, SlidingWindow, SpeakerDiarization
from pipelines.window_outputs import WindowOutputs
from voxgraph.errors import CheckpointError
from voxgraph.options import SpeakerCount
from voxgraph.results import SAMPLE_RATE_HZ, DiarizationResult, Turn, Waveform


class Diarizer:
    """Find the turns of conversations; not thread-safe.

    Args:
        checkpoint: The located `ModelKey.DIARIZATION_31` or `ModelKey.DIARIZATION_COMMUNITY_1`.
        device: ``cpu`` or ``cuda:0``.
        options: Engine and precision of the networks; the segmentation always runs in float32, pooling and
            clustering always with torch and numpy.

    Raises:
        CheckpointError: Tensors or configuration do not fit, or the engine is unavailable.
    """

    min_samples = 1
    """Minimum length in samples: windows are padded with silence, and a very short clip has no turns."""

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
        self.windows = WindowAnalyzer(
            pipeline._segmentation,
            pipeline._embedding,
            choice,
            checkpoint.identity,
            exclude_overlap=config.embedding_exclude_overlap,
            embedding_batch_size=config.embedding_batch_size,
        )
        """Maps a recording, or a part of one, to `WindowOutputs`."""
        self.clustering = pipeline.clustering
        self._min_duration_off: float = pipeline.segmentation.min_duration_off
        self._frames: SlidingWindow = segmentation.receptive_field
        parameters = sum(p.numel() for model in (segmentation, embedding) for p in model.parameters())
        self.info = checkpoint.info(device, parameters, choice=choice)

    def __call__(
        self, waveform: Waveform, speakers: SpeakerCount, progress: ProgressCallback | None = None
    ) -> DiarizationResult:
        """Find the turns of a conversation.

        Args:
            waveform: Float32, (samples,), 16 kHz mono; shorter than a window of 10 s is fine.
            speakers: Requested number of speakers; `num_speakers` overrides the bounds. The result has fewer
                if fewer voices can be distinguished.
            progress: Called with the windows done and in total after each batch.

        Raises:
            InvalidOptions: `min_speakers` is more than `max_speakers`.
        """
        return self.turns(self.windows(waveform, progress), len(waveform), speakers)

    def turns(self, outputs: WindowOutputs, samples: int, speakers: SpeakerCount) -> DiarizationResult:
        """Find the turns from the outputs of the networks.

        Args:
            outputs: Outputs of all windows of the recording.
            samples: Length of the recording in samples at 16 kHz.
            speakers: Requested number of speakers.

        Raises:
            InvalidOptions: `min_speakers` is more than `max_speakers`.
        """
        bounds = speakers.bounds
        hop, window = self.windows.hop / SAMPLE_RATE_HZ, self.windows.window / SAMPLE_RATE_HZ
        window_grid = SlidingWindow(start=0.0, duration=window, step=hop)
        timeline = Timeline(window_grid, self._frames, len(outputs.speech))
        count = np.minimum(speaker_count(outputs, timeline), bounds[1]).astype(np.uint8)
        if not count.any():
            return DiarizationResult((), (), ())
        with warnings.catch_warnings():
            # A voice of one frame has no standard deviation, and few embeddings form no clusters.
            warnings.simplefilter("ignore")
            clusters = cluster(self.clustering, outputs, bounds)
        votes = activations(outputs, clusters, timeline)
        turns, exclusive = (
            to_turns(top_speakers(votes, most), timeline.frames, self._min_duration_off)
            for most in (count, np.minimum(count, 1))
        )
        return _result(turns, exclusive, samples / SAMPLE_RATE_HZ)


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


def _result(diarization: NDArray[Any], exclusive: NDArray[Any], seconds: float) -> DiarizationResult:
    """Name the speakers in order of first appearance and drop the turns in the padding.

    Args:
        diarization: Sorted turns of `turns.TURN_DTYPE`.
        exclusive: The same without overlap.
        seconds: Length of the recording.
    """
    order = dict.fromkeys(diarization["speaker"].tolist())
    names = {speaker: f"SPEAKER_{index:02d}" for index, speaker in enumerate(order)}

    def turns(rows: NDArray[Any]) -> tuple[Turn, ...]:
        inside = rows[rows["start_s"] < seconds]
        # Convert row by row: a list of all rows would be larger than the result.
        return tuple(
            Turn(start, min(end, seconds), names[speaker])
            for start, end, speaker in (row.item() for row in inside)
        )

    found = turns(diarization)
    return DiarizationResult(found, turns(exclusive), tuple(sorted({turn.speaker for turn in found})))
