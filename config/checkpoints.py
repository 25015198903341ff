"""The table of checkpoints: the source, the files and the architectures of each.

Architectures are typed here and never read from a download: a checkpoint whose tensors do not fit is refused.
Each row has two architectures: ``full``, as published, and ``demo``, a small version of the same network.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
class DiarizationArchitecture:
    """PyanNet segmentation, WeSpeaker ResNet34 embedding and, for community-1, PLDA."""

    sincnet_stride: int = 10
    lstm_hidden_size: int = 128
    lstm_layers: int = 4
    linear_hidden_size: int = 128
    linear_layers: int = 2
    chunk_s: float = 10.0
    max_speakers_per_chunk: int = 3
    max_speakers_per_frame: int = 2
    resnet_m_channels: int = 32
    embedding_dim: int = 256
    plda_dim: int = 128


Architecture = EcapaArchitecture | Wav2Vec2Architecture | DiarizationArchitecture


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One row of the table."""

    key: ModelKey
    hub_id: str
    revision: str
    """The pinned commit on the hub, 40 hex digits."""
    files: tuple[CheckpointFile, ...]
    """All files that are read; no other file is downloaded."""
    licence: str
    architectures: Mapping[Size, Architecture]
    gated: bool = False
    """Whether the hub requires a token whose owner has accepted the terms."""
    parts: Mapping[str, "CheckpointPart"] = field(default_factory=lambda: MappingProxyType({}))
    """Separate repositories by the folder of the layout that they fill (pyannote 3.1)."""


@dataclass(frozen=True, slots=True)
class CheckpointPart:
    """A repository that fills one folder of another checkpoint's layout."""

    hub_id: str
    revision: str
    files: tuple[CheckpointFile, ...]
    licence: str
    gated: bool = False


def _files(*names: str) -> tuple[CheckpointFile, ...]:
    return tuple(CheckpointFile(name) for name in names)


def _sizes(full: Architecture, demo: Architecture) -> Mapping[Size, Architecture]:
    return MappingProxyType({Size.FULL: full, Size.DEMO: demo})


def _ecapa_sizes(full: EcapaArchitecture) -> Mapping[Size, Architecture]:
    """Return the published architecture and a narrow demo with the same outputs."""
    demo = replace(
        full, channels=(64, 64, 64, 64, 192), attention_channels=32, res2net_scale=4, se_channels=32,
        head_hidden=64,
    )  # fmt: skip
    return _sizes(full, demo)


_DIARIZATION_SIZES = _sizes(
    DiarizationArchitecture(),
    DiarizationArchitecture(lstm_hidden_size=32, lstm_layers=2, linear_hidden_size=32, resnet_m_channels=8),
)
_SEGMENTATION_SHA256 = "da85c29829d4002daedd676e012936488234d9255e65e86dfab9bec6b1729298"
_WESPEAKER_SHA256 = "366edf44f4c80889a3eb7a9d7bdf02c4aede3127f7dd15e274dcdb826b143c56"
_VOXCELEB_SHA256 = "0575cb64845e6b9a10db9bcb74d5ac32b326b8dc90352671d345e2ee3d0126a2"

_ROWS = (
    Checkpoint(
        key=ModelKey.LANGUAGE,
        hub_id="speechbrain/lang-id-voxlingua107-ecapa",
        revision="0253049ae131d6a4be1c4f0d8b0ff483a0f8c8e9",
        files=_files("embedding_model.ckpt", "classifier.ckpt", "label_encoder.txt"),
        licence="apache-2.0",
        architectures=_ecapa_sizes(EcapaArchitecture(60, embedding_dim=256, head="xvector", n_labels=107)),
    ),
    Checkpoint(
        key=ModelKey.SPEAKER_VOXCELEB,
        hub_id="speechbrain/spkrec-ecapa-voxceleb",
        revision="eac27266f68caa806381260bd44ace38b136c76a",
        files=(CheckpointFile("embedding_model.ckpt", _VOXCELEB_SHA256),),
        licence="apache-2.0",
        architectures=_ecapa_sizes(EcapaArchitecture(80)),
    ),
    Checkpoint(
        key=ModelKey.SPEAKER_CNCELEB,
        hub_id="LanceaKing/spkrec-ecapa-cnceleb",
        revision="d0bf33a2055d90994b7591870e59153cf35a128e",
        files=_files("embedding_model.ckpt"),
        licence="apache-2.0",
        architectures=_ecapa_sizes(EcapaArchitecture(80)),
    ),
    Checkpoint(
        key=ModelKey.ACCENT_XLSR,
        hub_id="Jzuluaga/accent-id-commonaccent_xlsr-en-english",
        revision="a62775175c86dd52546a67172181b757b7fe995b",
        files=_files("wav2vec2.ckpt", "model.ckpt", "label_encoder.txt"),
        licence="mit",
        architectures=_sizes(
            Wav2Vec2Architecture(1024, 24, 16, 4096, "layer", True, True, n_labels=16),
            Wav2Vec2Architecture(
                64, 2, 4, 128, "layer", True, True, (32,) * 7,
                num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4, n_labels=16,
            ),
        ),
    ),
    Checkpoint(
        key=ModelKey.ACCENT_ECAPA,
        hub_id="Jzuluaga/accent-id-commonaccent_ecapa",
        revision="b9cf7cb1a694be9021486806129c3b59d5c590cb",
        files=_files("embedding_model.ckpt", "classifier.ckpt", "accent_encoder.txt"),
        licence="mit",
        architectures=_ecapa_sizes(EcapaArchitecture(80, leaky_relu=True, head="cosine", n_labels=16)),
    ),
    Checkpoint(
        key=ModelKey.DEEPFAKE,
        hub_id="mo-thecreator/Deepfake-audio-detection",
        revision="a2ad1e2bc38ffb8239a2d720a337c7cfbd29a291",
        files=_files("config.json", "model.safetensors", "preprocessor_config.json"),
        licence="apache-2.0",
        architectures=_sizes(
            Wav2Vec2Architecture(768, 12, 12, 3072, "group", False, False),
            Wav2Vec2Architecture(
                64, 2, 4, 128, "group", False, False, (32,) * 7,
                num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4, classifier_proj_size=32,
            ),
        ),
    ),
    Checkpoint(
        key=ModelKey.DIARIZATION_31,
        hub_id="pyannote/speaker-diarization-3.1",
        revision="84fd25912480287da0247647c3d2b4853cb3ee5d",
        files=_files("config.yaml"),
        licence="mit",
        gated=True,
        architectures=_DIARIZATION_SIZES,
        parts=MappingProxyType(
            {
                "segmentation": CheckpointPart(
                    "pyannote/segmentation-3.0", "e66f3d3b9eb0873085418a7b813d3b369bf160bb",
                    (CheckpointFile("pytorch_model.bin", _SEGMENTATION_SHA256),), "mit", gated=True,
                ),
                "embedding": CheckpointPart(
                    "pyannote/wespeaker-voxceleb-resnet34-LM", "837717ddb9ff5507820346191109dc79c958d614",
                    (CheckpointFile("pytorch_model.bin", _WESPEAKER_SHA256),), "cc-by-4.0",
                ),
            }
        ),
    ),
    Checkpoint(
        key=ModelKey.DIARIZATION_COMMUNITY_1,
        hub_id="pyannote/speaker-diarization-community-1",
        revision="3533c8cf8e369892e6b79ff1bf80f7b0286a54ee",
        files=_files(
            "config.yaml", "segmentation/pytorch_model.bin", "embedding/pytorch_model.bin",
            "plda/plda.npz", "plda/xvec_transform.npz",
        ),
        licence="cc-by-4.0",
        gated=True,
        architectures=_DIARIZATION_SIZES,
    ),
)  # fmt: skip

CHECKPOINTS: Mapping[ModelKey, Checkpoint] = MappingProxyType({row.key: row for row in _ROWS})
"""All checkpoints by model."""
