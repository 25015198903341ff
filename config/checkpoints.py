"""The tables of checkpoints: the source, the files and the architectures of each.

Each row has two architectures: ``full``, as published, and ``small``, a small version for tests.
The starter checkpoints are in `config.starter_checkpoints`; `row_for` chooses from all tables.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from config.checkpoint_types import (
    Architecture,
    Checkpoint,
    CheckpointFile,
    CheckpointPart,
    DiarizationArchitecture,
    EcapaArchitecture,
    Wav2Vec2Architecture,
    WhisperArchitecture,
)
from config.settings import CheckpointSource, Family, Size
from config.starter_checkpoints import STARTER_CHECKPOINTS
from voxgraph.errors import CheckpointError
from voxgraph.options import ModelKey


def _files(*names: str) -> tuple[CheckpointFile, ...]:
    return tuple(CheckpointFile(name) for name in names)


def _sizes(full: Architecture, small: Architecture) -> Mapping[Size, Architecture]:
    return MappingProxyType({Size.FULL: full, Size.SMALL: small})


def _ecapa_sizes(full: EcapaArchitecture) -> Mapping[Size, Architecture]:
    """Return the published architecture and a narrow one with the same outputs."""
    small = replace(
        full, channels=(64, 64, 64, 64, 192), attention_channels=32, res2net_scale=4, se_channels=32,
        head_hidden=64,
    )  # fmt: skip
    return _sizes(full, small)


_DIARIZATION_SIZES = _sizes(
    DiarizationArchitecture(),
    DiarizationArchitecture(lstm_hidden_size=32, lstm_layers=2, linear_hidden_size=32, resnet_m_channels=8),
)
SEGMENTATION_SHA256 = "da85c29829d4002daedd676e012936488234d9255e65e86dfab9bec6b1729298"
"""Digest of pyannote/segmentation-3.0, which is also the starter's."""
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
                    (CheckpointFile("pytorch_model.bin", SEGMENTATION_SHA256),), "mit", gated=True,
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

_WHISPER = Checkpoint(
    key=ModelKey.LANGUAGE,
    hub_id="openai/whisper-base",
    revision="e37978b90ca9030d5170a5c07aadb050351a65bb",
    files=_files("config.json", "model.safetensors"),
    licence="apache-2.0",
    architectures=_sizes(
        WhisperArchitecture(),
        WhisperArchitecture(
            hidden_size=64, encoder_layers=2, decoder_layers=2, attention_heads=4, intermediate_size=128,
            positions=600, decoder_positions=16, vocabulary=160, start_token=40,
        ),
    ),
)  # fmt: skip

FAMILIES: Mapping[tuple[ModelKey, Family], Checkpoint] = MappingProxyType(
    {(ModelKey.LANGUAGE, Family.WHISPER): _WHISPER}
)
"""Checkpoints of other networks that a model may load in place of its row in `CHECKPOINTS`."""


def row_for(model: ModelKey, source: CheckpointSource) -> Checkpoint:
    """Return the row that a source selects.

    Raises:
        CheckpointError: The model has no starter checkpoint, or no network of the family.
    """
    if source.architecture is Size.STARTER:
        if model not in STARTER_CHECKPOINTS:
            raise CheckpointError(f"{model} has no starter checkpoint.")
        return STARTER_CHECKPOINTS[model]
    if source.family is None:
        return CHECKPOINTS[model]
    if (model, source.family) not in FAMILIES:
        raise CheckpointError(f"{model} has no network of the family {source.family}.")
    return FAMILIES[model, source.family]
