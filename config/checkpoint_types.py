"""What a row of the tables of checkpoints has: its source, its files and its architectures.

Architectures are typed here and never read from a download: a checkpoint whose tensors do not fit is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from config.settings import Size
from voxgraph.options import ModelKey


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """One file of a checkpoint, relative to its folder."""

    name: str
    sha256: str | None = None
    """Hex digest if one is published; a file with another is refused. None: only the commit pins the file."""
    in_revision: bool = True
    """Whether another content makes another revision. False for what only interprets the model's outputs, so
    that stored outputs stay comparable when the interpretation is fitted anew."""


@dataclass(frozen=True, slots=True)
class EcapaArchitecture:
    """ECAPA-TDNN (https://arxiv.org/abs/2005.07143) with SpeechBrain 1.1's parameters."""

    n_mels: int
    channels: tuple[int, int, int, int, int] = (1024, 1024, 1024, 1024, 3072)
    kernel_sizes: tuple[int, ...] = (5, 3, 3, 3, 1)
    dilations: tuple[int, ...] = (1, 2, 3, 4, 1)
    attention_channels: int = 128
    res2net_scale: int = 8
    se_channels: int = 128
    embedding_dim: int = 192
    leaky_relu: bool = False
    """LeakyReLU in the TDNN blocks (accent checkpoint) instead of ReLU."""
    head: Literal["cosine", "xvector"] | None = None
    """The classifier on the embedding: cosines of a margin loss, or log posteriors of an x-vector MLP."""
    head_hidden: int = 512
    n_labels: int = 0


@dataclass(frozen=True, slots=True)
class Wav2Vec2Architecture:
    """wav2vec 2.0 (https://arxiv.org/abs/2006.11477) with transformers' parameters."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    feat_extract_norm: Literal["group", "layer"]
    conv_bias: bool
    do_stable_layer_norm: bool
    conv_dim: tuple[int, ...] = (512,) * 7
    conv_kernel: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_stride: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    num_conv_pos_embeddings: int = 128
    num_conv_pos_embedding_groups: int = 16
    classifier_proj_size: int = 256
    n_labels: int = 2


@dataclass(frozen=True, slots=True)
class SegmentationArchitecture:
    """PyanNet's powerset segmentation with pyannote.audio's parameters."""

    sincnet_stride: int = 10
    lstm_hidden_size: int = 128
    lstm_layers: int = 4
    linear_hidden_size: int = 128
    linear_layers: int = 2
    chunk_s: float = 10.0
    max_speakers_per_chunk: int = 3
    max_speakers_per_frame: int = 2


@dataclass(frozen=True, slots=True)
class DiarizationArchitecture(SegmentationArchitecture):
    """PyanNet segmentation, WeSpeaker ResNet34 embedding and, for community-1, PLDA."""

    resnet_m_channels: int = 32
    embedding_dim: int = 256
    plda_dim: int = 128


@dataclass(frozen=True, slots=True)
class WhisperArchitecture:
    """Whisper (https://arxiv.org/abs/2212.04356) as transformers parametrises it; by default base."""

    n_mels: int = 80
    hidden_size: int = 512
    encoder_layers: int = 6
    decoder_layers: int = 6
    attention_heads: int = 8
    intermediate_size: int = 2048
    positions: int = 1500
    """Positions of the encoder, 20 ms each."""
    decoder_positions: int = 448
    vocabulary: int = 51865
    start_token: int = 50258
    """Index of ``<|startoftranscript|>``; the tokens of the languages follow it."""
    n_labels: int = 99
    """Languages. Behind their tokens come translate, transcribe, startoflm, startofprev and nospeech."""


@dataclass(frozen=True, slots=True)
class CamPlusPlusArchitecture:
    """CAM++ (https://arxiv.org/abs/2303.00332) with 3D-Speaker's parameters."""

    n_mels: int = 80
    head_channels: int = 32
    """Channels of the convolutions over frequency and time."""
    init_channels: int = 128
    growth_rate: int = 32
    """Channels that each layer of a dense block adds."""
    bottleneck: int = 4
    """Channels within such a layer, in multiples of `growth_rate`."""
    block_layers: tuple[int, ...] = (12, 24, 16)
    dilations: tuple[int, ...] = (1, 2, 2)
    embedding_dim: int = 192


@dataclass(frozen=True, slots=True)
class CamPlusPlusDiarizationArchitecture(SegmentationArchitecture):
    """PyanNet segmentation and CAM++ embeddings."""

    embedding: CamPlusPlusArchitecture = CamPlusPlusArchitecture()


@dataclass(frozen=True, slots=True)
class WhisperHeadArchitecture:
    """A linear classifier on statistics over time of some layers of Whisper's encoder."""

    layers: tuple[int, ...]
    """Numbers of the layers, the first is 1, in ascending order."""
    window_s: int
    """Seconds that the encoder hears at once; a shorter clip is padded with silence, which is not counted."""
    max_windows: int
    """Most windows of a recording that are averaged."""
    labels: tuple[str, str]
    """The class whose probability the head computes, and the other one."""
    encoder: WhisperArchitecture = WhisperArchitecture()


@dataclass(frozen=True, slots=True)
class AccentHeadArchitecture(WhisperHeadArchitecture):
    """A head that tells one accent from all others."""


@dataclass(frozen=True, slots=True)
class DeepfakeHeadArchitecture(WhisperHeadArchitecture):
    """A head that tells generated speech from recorded speech."""


Architecture = (
    EcapaArchitecture
    | Wav2Vec2Architecture
    | DiarizationArchitecture
    | WhisperArchitecture
    | CamPlusPlusArchitecture
    | CamPlusPlusDiarizationArchitecture
    | AccentHeadArchitecture
    | DeepfakeHeadArchitecture
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One row of the table."""

    key: ModelKey
    hub_id: str
    revision: str
    """The pinned commit on the hub, 40 hex digits; empty if the checkpoint is not on the hub."""
    files: tuple[CheckpointFile, ...]
    """All files that are read; no other file is downloaded."""
    licence: str
    architectures: Mapping[Size, Architecture]
    gated: bool = False
    """Whether the hub requires a token whose owner has accepted the terms."""
    parts: Mapping[str, "CheckpointPart"] = field(default_factory=lambda: MappingProxyType({}))
    """Separate repositories by the folder of the layout that they fill."""
    starter_folder: str | None = None
    """Folder among the starter checkpoints. None: that of the key."""


@dataclass(frozen=True, slots=True)
class CheckpointPart:
    """A repository that fills one folder of another checkpoint's layout."""

    hub_id: str
    revision: str
    """The pinned commit on the hub; empty if the repository is not on the hub."""
    files: tuple[CheckpointFile, ...]
    licence: str
    gated: bool = False
    starter_folder: str | None = None
    """Folder among the starter checkpoints that has the files. None: the checkpoint's own."""
