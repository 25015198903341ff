"""The pipeline put together: windows, then clusters of voices, then turns."""

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from config.checkpoints import DiarizationArchitecture
from config.settings import EngineOptions
from pipelines.checkpoints import UNREADABLE, LocatedCheckpoint, Unfilled, load_state
from pipelines.diarization.clustering import NoPlda, cluster
from pipelines.diarization.config import PipelineConfig, read_pipeline_config
from pipelines.diarization.networks import build_embedding, build_segmentation, load_lightning
from pipelines.diarization.turns import Timeline, activations, loudest, speaker_count, spoken
from pipelines.diarization.windows import Progress, WindowAnalyzer, segmentation_batch
from pipelines.engines.select import Network, choose
from pipelines.vendored.pyannote import PLDA, SlidingWindow, SpeakerDiarization
from pipelines.window_outputs import WindowOutputs
from voxgraph.errors import CheckpointError
from voxgraph.options import SpeakerCount
from voxgraph.results import SAMPLE_RATE_HZ, DiarizationResult, Turn, Waveform


class Diarizer:
    """Answers conversations with turns; one call at a time.

    The output is that of pyannote's own pipeline.

    Args:
        checkpoint: Of `ModelKey.DIARIZATION_31` or `ModelKey.DIARIZATION_COMMUNITY_1`.
        device: ``cpu`` or ``cuda:0``.
        options: What the networks run on; the segmentation in float32 whatever the precision. Pooling and
            clustering stay with torch and numpy.

    Raises:
        CheckpointError: Tensors or configuration do not fit, or the engine cannot be had.
    """

    min_samples = 1
    """Windows are padded with silence; a clip too short for an answer has no turns."""

    def __init__(
        self, checkpoint: LocatedCheckpoint, device: str, options: EngineOptions = EngineOptions()
    ) -> None:
        architecture = checkpoint.architecture
        if not isinstance(architecture, DiarizationArchitecture):
            raise CheckpointError(f"{checkpoint.row.hub_id} is no diarization checkpoint.")
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
            segmentation_batch_size=min(config.segmentation_batch_size, segmentation_batch(device)),
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
        """From a recording to `WindowOutputs`: parts of a recording may be asked apart."""
        self.clustering = pipeline.clustering
        self._min_duration_off: float = pipeline.segmentation.min_duration_off
        self._frames: SlidingWindow = segmentation.receptive_field
        parameters = sum(p.numel() for model in (segmentation, embedding) for p in model.parameters())
        self.info = checkpoint.info(device, parameters, choice=choice)

    def __call__(
        self, waveform: Waveform, speakers: SpeakerCount, progress: Progress | None = None
    ) -> DiarizationResult:
        """Find the turns of a conversation.

        Args:
            waveform: Float32, (samples,), 16 kHz mono; shorter than a window of 10 s is fine.
            speakers: What is known; `num_speakers` overrides the bounds. Where fewer voices can be told
                apart than asked for, fewer are answered.
            progress: Told how many windows of how many are done, after each batch.

        Raises:
            InvalidOptions: `min_speakers` is more than `max_speakers`.
        """
        return self.turns(self.windows(waveform, progress), len(waveform), speakers)

    def turns(self, findings: WindowOutputs, samples: int, speakers: SpeakerCount) -> DiarizationResult:
        """Find the turns from what the windows said.

        Args:
            findings: Of all windows of the recording.
            samples: Length of the recording.
            speakers: As for a call.

        Raises:
            InvalidOptions: `min_speakers` is more than `max_speakers`.
        """
        bounds = speakers.bounds
        hop, window = self.windows.hop / SAMPLE_RATE_HZ, self.windows.window / SAMPLE_RATE_HZ
        lie = SlidingWindow(start=0.0, duration=window, step=hop)
        timeline = Timeline(lie, self._frames, len(findings.speech))
        count = np.minimum(speaker_count(findings, timeline), bounds[1]).astype(np.uint8)
        if not count.any():
            return DiarizationResult((), (), ())
        with warnings.catch_warnings():
            # A voice of one frame has no deviation, and too few voices make no clusters: both are answered.
            warnings.simplefilter("ignore")
            clusters = cluster(self.clustering, findings, bounds)
        heard = activations(findings, clusters, timeline)
        found, exclusive = (
            spoken(loudest(heard, most), timeline.frames, self._min_duration_off)
            for most in (count, np.minimum(count, 1))
        )
        return _result(found, exclusive, samples / SAMPLE_RATE_HZ)


def _instantiate(pipeline: Any, config: PipelineConfig) -> None:
    """Give a pipeline its hyper-parameters.

    Raises:
        CheckpointError: Some are missing, or are of another pipeline.
    """
    try:
        pipeline.instantiate(config.params)
    except ValueError as error:
        raise CheckpointError(f"config.yaml does not fit the pipeline: {error}") from error
    if not pipeline.instantiated:
        raise CheckpointError("config.yaml lacks parameters of the pipeline.")


def _load_plda(
    checkpoint: LocatedCheckpoint, architecture: DiarizationArchitecture, config: PipelineConfig
) -> PLDA | None:
    """What VBx compares voices with; None for a pipeline without.

    Raises:
        CheckpointError: A file is damaged, or of other dimensions.
    """
    if config.clustering != "VBxClustering":
        return None
    transform, plda = checkpoint.file("plda/xvec_transform.npz"), checkpoint.file("plda/plda.npz")
    try:
        loaded = PLDA(transform, plda)
        found = loaded(np.ones((1, architecture.embedding_dim)))
    except UNREADABLE as error:
        raise CheckpointError(f"{checkpoint.row.hub_id}: the PLDA is damaged: {error}") from error
    expected = (1, architecture.plda_dim)
    if found.shape != expected or loaded.phi.shape != expected[1:] or not np.isfinite(found).all():
        raise CheckpointError(
            f"{checkpoint.row.hub_id}: the PLDA is of another architecture: "
            f"{found.shape[1]} numbers and {len(loaded.phi)} variances, not {architecture.plda_dim}."
        )
    return loaded


def _result(diarization: NDArray[Any], exclusive: NDArray[Any], seconds: float) -> DiarizationResult:
    """Name the speakers in order of first appearance, the same in both; the padding has no turns.

    Args:
        diarization: Of `turns.SPOKEN`, sorted.
        exclusive: The same, without overlap.
        seconds: Of the recording.
    """
    order = dict.fromkeys(diarization["speaker"].tolist())
    names = {speaker: f"SPEAKER_{index:02d}" for index, speaker in enumerate(order)}

    def turns(rows: NDArray[Any]) -> tuple[Turn, ...]:
        inside = rows[rows["start_s"] < seconds]
        # One at a time: a list of all would be larger than the answer.
        return tuple(
            Turn(start, min(end, seconds), names[speaker])
            for start, end, speaker in (row.item() for row in inside)
        )

    found = turns(diarization)
    return DiarizationResult(found, turns(exclusive), tuple(sorted({turn.speaker for turn in found})))
