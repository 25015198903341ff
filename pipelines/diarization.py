"""Who spoke when: pyannote's pipeline, built from data alone.

pyannote loads its checkpoints with full pickle, imports the class that a checkpoint names and instantiates
what a configuration lists. Here the networks come from the typed architecture, tensors from a pickle that
may hold nothing else, and the configuration is read for its numbers.
"""

import os

# pyannote.audio starts an exporter to its makers' server at import: it must find this before.
os.environ["PYANNOTE_METRICS_ENABLED"] = "false"

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pyannote.audio.core.plda import PLDA
from pyannote.audio.core.task import Problem, Resolution, Specifications
from pyannote.audio.models.embedding.wespeaker import WeSpeakerResNet34
from pyannote.audio.models.embedding.wespeaker.resnet import BasicBlock, ResNet
from pyannote.audio.models.segmentation import PyanNet
from pyannote.audio.pipelines.clustering import VBxClustering
from pyannote.audio.pipelines.speaker_diarization import SpeakerDiarization
from pyannote.core import Annotation, SlidingWindowFeature
from torch import Tensor, nn
from torch.torch_version import TorchVersion

from config.checkpoints import DiarizationArchitecture
from config.settings import EngineOptions, SpeakerCount
from pipelines.audio import SAMPLE_RATE_HZ
from pipelines.checkpoints import UNREADABLE, LocatedCheckpoint, load_data, load_state
from pipelines.diarization_config import PipelineConfig, read_pipeline_config
from pipelines.engines.run import on_engine
from pipelines.engines.select import EngineChoice, Network, choose
from pipelines.errors import CheckpointError, InvalidOptions
from pipelines.results import DiarizationResult, Turn, Waveform

SAFE_CLASSES = [Problem, Resolution, Specifications, TorchVersion]
"""What pyannote's checkpoints hold beside tensors: enumerations and one record."""

N_MELS = 80
RESNET34_BLOCKS = [3, 4, 6, 3]


class Diarizer:
    """Answers conversations with turns; one call at a time.

    The output is that of pyannote's own pipeline; the ResNet runs once per window instead of once per
    window and speaker, and not at all where nobody speaks. On CUDA every call switches TF32 off for the
    whole process, as pyannote does.

    Args:
        checkpoint: Of `ModelKey.DIARIZATION_31` or `ModelKey.DIARIZATION_COMMUNITY_1`.
        device: ``cpu`` or ``cuda:0``.
        options: What the ResNet runs on, nine parts in ten of the work; all else stays with torch.

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
        segmentation = build_segmentation(architecture)
        tensors = load_lightning(checkpoint.file("segmentation/pytorch_model.bin"))
        load_state(segmentation, tensors, f"{name} segmentation")
        embedding = build_embedding(architecture)
        tensors = load_lightning(checkpoint.file("embedding/pytorch_model.bin"))
        load_state(embedding, tensors, f"{name} embedding")
        plda = _load_plda(checkpoint, config)
        self._pipeline = SharedFramesDiarization(segmentation, embedding, plda, config)
        self._pipeline.to(torch.device(device))
        parameters = sum(p.numel() for model in (segmentation, embedding) for p in model.parameters())
        choice = choose(options, device, Network.RESNET, checkpoint.size)
        self._pipeline.run_frames_on(choice)
        self.info = checkpoint.info(device, parameters, choice=choice)

    def __call__(self, waveform: Waveform, speakers: SpeakerCount) -> DiarizationResult:
        """Find the turns of a conversation.

        Args:
            waveform: Float32, (samples,), 16 kHz mono; shorter than a window of 10 s is fine.
            speakers: What is known; `num_speakers` overrides the bounds. Where fewer voices can be told
                apart than asked for, fewer are answered.

        Raises:
            InvalidOptions: `min_speakers` is more than `max_speakers`.
        """
        file = {
            "waveform": torch.tensor(waveform)[None],  # (1, samples)
            "sample_rate": SAMPLE_RATE_HZ,
            "uri": "recording",
        }
        with warnings.catch_warnings():
            # Fewer speakers than asked for, and too few frames for a deviation: both are answered.
            warnings.simplefilter("ignore")
            output = self._pipeline(file, **_bounds(speakers))
        seconds = len(waveform) / SAMPLE_RATE_HZ
        return _result(output.speaker_diarization, output.exclusive_speaker_diarization, seconds)


class SharedFramesDiarization(SpeakerDiarization):  # type: ignore[misc]
    """pyannote's pipeline with one ResNet pass per window, its speakers' masks pooled from it.

    Args:
        segmentation: A loaded PyanNet.
        embedding: A loaded WeSpeaker ResNet.
        plda: For VBx; agglomerative clustering has none.
        config: Hyper-parameters of the checkpoint.

    Raises:
        CheckpointError: Hyper-parameters are missing, or are of another pipeline.
    """

    def __init__(
        self, segmentation: PyanNet, embedding: WeSpeakerResNet34, plda: PLDA | None, config: PipelineConfig
    ) -> None:
        super().__init__(
            segmentation=segmentation,
            embedding=embedding,
            embedding_exclude_overlap=config.embedding_exclude_overlap,
            plda=plda or NoPlda(),
            clustering=config.clustering,
            segmentation_batch_size=config.segmentation_batch_size,
            embedding_batch_size=config.embedding_batch_size,
        )
        if plda is not None:
            self.clustering = BoundedVBx(plda, metric=self._embedding.metric)
        try:
            self.instantiate(config.params)
        except ValueError as error:
            raise CheckpointError(f"config.yaml does not fit the pipeline: {error}") from error
        if not self.instantiated:
            raise CheckpointError("config.yaml lacks parameters of the pipeline.")

    def run_frames_on(self, choice: EngineChoice) -> None:
        """Put the ResNet's convolutions on an engine; its pooling stays with torch in float32."""
        # pyannote finds this by trying lengths until the network fails, which another engine need not do.
        _ = self._embedding.min_num_samples
        resnet = self._embedding.model_.resnet
        example = torch.zeros(2, 200, N_MELS)
        frames = on_engine(ResNetFrames(resnet), choice, (example,), ((-1, -1, N_MELS),))

        def forward(fbank: Tensor, weights: Tensor | None = None) -> Any:
            return resnet.forward_embedding(frames(fbank), weights=weights)

        resnet.forward = forward

    def get_embeddings(
        self,
        file: dict[str, Any],
        binary_segmentations: SlidingWindowFeature,
        exclude_overlap: bool = False,
        hook: Callable[..., None] | None = None,
    ) -> np.ndarray:
        """Embed each (window, speaker) pair: (windows, speakers, dimension), as pyannote's method does.

        A window where nobody speaks is not run: its embeddings are those of an empty mask, whatever
        its audio.
        """
        masks = _used_masks(
            binary_segmentations.data, self._minimum_frames(binary_segmentations, exclude_overlap)
        )
        windows = [window for window, _ in binary_segmentations]
        voiced = np.flatnonzero(masks.any(axis=(1, 2)))
        embeddings = np.broadcast_to(
            self._embedding_of_nobody(masks.shape[-1]), (*masks.shape[:2], self._embedding.dimension)
        ).copy()
        batch_size = max(1, self.embedding_batch_size // masks.shape[1])
        batches = [voiced[start : start + batch_size] for start in range(0, len(voiced), batch_size)]
        for done, batch in enumerate(batches, 1):
            audio = [self._audio.crop(file, windows[index], mode="pad")[0] for index in batch]
            embeddings[batch] = self._embedding(torch.stack(audio), masks=torch.from_numpy(masks[batch]))
            if hook is not None:
                hook("embeddings", None, total=len(batches), completed=done)
        return embeddings

    def _minimum_frames(self, segmentations: SlidingWindowFeature, exclude_overlap: bool) -> int | None:
        """Clean frames that a speaker needs for overlap to be left out; None where it never is."""
        if not exclude_overlap:
            return None
        samples = segmentations.sliding_window.duration * self._embedding.sample_rate
        frames = segmentations.data.shape[1]
        return int(np.ceil(frames * self._embedding.min_num_samples / samples))

    def _embedding_of_nobody(self, frames: int) -> np.ndarray:
        """What the network answers to a mask without a frame, shape (dimension,); no audio enters it."""
        silence = torch.zeros(1, 1, self._embedding.min_num_samples)
        vector: np.ndarray = self._embedding(silence, masks=torch.zeros(1, frames))[0]
        return vector


class ResNetFrames(nn.Module):
    """The convolutions of WeSpeaker's ResNet."""

    def __init__(self, resnet: ResNet) -> None:
        super().__init__()
        self.resnet = resnet

    def forward(self, fbank: Tensor) -> Tensor:
        """From (batch, frames, mels) to (batch, channels, mels / 8, frames / 8)."""
        frames: Tensor = self.resnet.forward_frames(fbank)
        return frames


class BoundedVBx(VBxClustering):  # type: ignore[misc]
    """VBx that answers with fewer speakers where there are fewer usable voices than asked for.

    pyannote's own ends in an error of its k-means there; its agglomerative clustering does as this does.
    """

    def __call__(
        self,
        embeddings: np.ndarray,
        segmentations: SlidingWindowFeature,
        num_clusters: int | None = None,
        min_clusters: int = 1,
        max_clusters: float = np.inf,
        **kwargs: Any,
    ) -> Any:
        """Cluster (windows, speakers, dimension) embeddings; see pyannote's method."""
        usable = max(1, len(self.filter_embeddings(embeddings, segmentations)[0]))
        return super().__call__(
            embeddings,
            segmentations,
            num_clusters=None if num_clusters is None else min(num_clusters, usable),
            min_clusters=min(min_clusters, usable),
            max_clusters=min(max_clusters, usable),
            **kwargs,
        )


class NoPlda(PLDA):  # type: ignore[misc]
    """Stands where agglomerative clustering needs no PLDA but pyannote would download one
    (https://github.com/pyannote/pyannote-audio/issues/2044)."""

    def __init__(self) -> None:
        """Load nothing."""


def build_segmentation(architecture: DiarizationArchitecture) -> PyanNet:
    """The powerset segmentation network, with random weights."""
    network = PyanNet(
        sincnet={"stride": architecture.sincnet_stride},
        lstm={
            "hidden_size": architecture.lstm_hidden_size,
            "num_layers": architecture.lstm_layers,
            "bidirectional": True,
            "monolithic": True,
            "dropout": 0.0,
        },
        linear={"hidden_size": architecture.linear_hidden_size, "num_layers": architecture.linear_layers},
    )
    network.specifications = Specifications(
        problem=Problem.MONO_LABEL_CLASSIFICATION,
        resolution=Resolution.FRAME,
        duration=architecture.chunk_s,
        min_duration=None,
        warm_up=(0.0, 0.0),
        classes=[f"speaker#{number + 1}" for number in range(architecture.max_speakers_per_chunk)],
        powerset_max_classes=architecture.max_speakers_per_frame,
        permutation_invariant=True,
    )
    network.build()
    return network.eval().requires_grad_(False)


def build_embedding(architecture: DiarizationArchitecture) -> WeSpeakerResNet34:
    """The speaker embedding network, with random weights."""
    network = WeSpeakerResNet34()
    network.resnet = ResNet(
        BasicBlock,
        RESNET34_BLOCKS,
        m_channels=architecture.resnet_m_channels,
        feat_dim=N_MELS,
        embed_dim=architecture.embedding_dim,
        pooling_func="TSTP",
        two_emb_layer=False,
    )
    network.specifications = Specifications(
        problem=Problem.REPRESENTATION, resolution=Resolution.CHUNK, duration=5.0
    )
    return network.eval().requires_grad_(False)


def load_lightning(path: Path) -> dict[str, Tensor]:
    """The state dict of a pyannote checkpoint: tensors, enumerations and nothing that can run.

    Raises:
        CheckpointError: The file holds anything else, or no state dict.
    """
    checkpoint = load_data(path, SAFE_CLASSES)
    tensors = checkpoint.get("state_dict") if isinstance(checkpoint, dict) else None
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise CheckpointError(f"{path.parent.name}/{path.name} has no state_dict of tensors.")
    return tensors


def _load_plda(checkpoint: LocatedCheckpoint, config: PipelineConfig) -> PLDA | None:
    if config.clustering != "VBxClustering":
        return None
    transform, plda = checkpoint.file("plda/xvec_transform.npz"), checkpoint.file("plda/plda.npz")
    try:
        return PLDA(transform, plda)
    except UNREADABLE as error:
        raise CheckpointError(f"{checkpoint.row.hub_id}: the PLDA is damaged: {error}") from error


def _bounds(speakers: SpeakerCount) -> dict[str, int]:
    """The speaker counts as pyannote takes them.

    Raises:
        InvalidOptions: The bounds exclude each other.
    """
    if speakers.num_speakers is not None:
        return {"num_speakers": speakers.num_speakers}
    low, high = speakers.min_speakers, speakers.max_speakers
    if low is not None and high is not None and low > high:
        raise InvalidOptions(f"min_speakers is {low}, more than max_speakers, {high}.")
    return {name: n for name, n in (("min_speakers", low), ("max_speakers", high)) if n is not None}


def _used_masks(segmentations: np.ndarray, minimum_frames: int | None) -> np.ndarray:
    """Frames that each speaker's embedding is pooled from, without overlap where enough are left.

    Args:
        segmentations: (windows, frames, speakers), 0 or 1, NaN for unknown.
        minimum_frames: More clean frames than these leave the overlap out; None keeps it.

    Returns:
        Float32 (windows, speakers, frames).
    """
    masks = np.nan_to_num(segmentations, nan=0.0).astype(np.float32).transpose(0, 2, 1)
    if minimum_frames is None:
        return np.ascontiguousarray(masks)
    alone = np.sum(segmentations, axis=2)[:, None, :] < 2
    clean = masks * alone
    enough = clean.sum(axis=2, keepdims=True) > minimum_frames
    return np.ascontiguousarray(np.where(enough, clean, masks))


def _result(diarization: Annotation, exclusive: Annotation, seconds: float) -> DiarizationResult:
    """Name the speakers in order of first appearance, the same in both; the padding has no turns."""
    order = dict.fromkeys(label for _, _, label in diarization.itertracks(yield_label=True))
    names = {label: f"SPEAKER_{index:02d}" for index, label in enumerate(order)}

    def turns(annotation: Annotation) -> tuple[Turn, ...]:
        return tuple(
            Turn(float(segment.start), min(float(segment.end), seconds), names[label])
            for segment, _, label in annotation.itertracks(yield_label=True)
            if segment.start < seconds
        )

    found = turns(diarization)
    return DiarizationResult(found, turns(exclusive), tuple(sorted({turn.speaker for turn in found})))
