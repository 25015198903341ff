"""The table of the starter checkpoints: real, small and free networks that come with the repository.

Each is of another kind than the published checkpoint of the same model and has a layout of its own. With the
size ``starter``, a source may also be a folder in that layout.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from config.checkpoint_types import (
    AccentHeadArchitecture,
    CamPlusPlusArchitecture,
    CamPlusPlusDiarizationArchitecture,
    Checkpoint,
    CheckpointFile,
    CheckpointPart,
    DeepfakeHeadArchitecture,
    WhisperArchitecture,
)
from config.settings import Size
from voxgraph.options import ModelKey

_LANGUAGE = Checkpoint(
    key=ModelKey.LANGUAGE,
    hub_id="openai/whisper-base",
    revision="e37978b90ca9030d5170a5c07aadb050351a65bb",
    files=tuple(
        CheckpointFile(name)
        for name in (
            "config.json",
            "encoder.safetensors",
            "decoder.safetensors",
            "speech.safetensors",
            "calibration.json",
        )
    ),
    licence="mit",
    architectures=MappingProxyType({Size.STARTER: WhisperArchitecture()}),
)

_SPEAKER = Checkpoint(
    key=ModelKey.SPEAKER_VOXCELEB,
    hub_id="iic/speech_campplus_sv_zh_en_16k-common_advanced",
    revision="",
    files=(CheckpointFile("model.safetensors"), CheckpointFile("calibration.json", in_revision=False)),
    licence="apache-2.0",
    architectures=MappingProxyType({Size.STARTER: CamPlusPlusArchitecture()}),
    starter_folder="speaker",
)

_DIARIZATION = Checkpoint(
    key=ModelKey.DIARIZATION_31,
    hub_id="pyannote/segmentation-3.0",
    revision="e66f3d3b9eb0873085418a7b813d3b369bf160bb",
    files=(CheckpointFile("config.yaml"), CheckpointFile("segmentation.safetensors")),
    licence="mit",
    architectures=MappingProxyType({Size.STARTER: CamPlusPlusDiarizationArchitecture()}),
    parts=MappingProxyType(
        {
            "embedding": CheckpointPart(
                _SPEAKER.hub_id, _SPEAKER.revision, _SPEAKER.files, _SPEAKER.licence,
                starter_folder=_SPEAKER.starter_folder,
            )
        }
    ),
    starter_folder="diarization",
)  # fmt: skip

_HEAD_FILES = (CheckpointFile("config.json"), CheckpointFile("head.safetensors"))
_ENCODER_PARTS = MappingProxyType(
    {
        "encoder": CheckpointPart(
            _LANGUAGE.hub_id, _LANGUAGE.revision,
            (CheckpointFile("config.json"), CheckpointFile("encoder.safetensors")), _LANGUAGE.licence,
            starter_folder="language",
        )
    }
)  # fmt: skip
"""The heads hear through the encoder of the language starter, which is not copied."""

_ACCENT = Checkpoint(
    key=ModelKey.ACCENT_XLSR,
    hub_id="voxgraph/accent-whisper-base",
    revision="",
    files=_HEAD_FILES,
    licence="mit",
    architectures=MappingProxyType(
        {
            Size.STARTER: AccentHeadArchitecture(
                layers=(3, 4, 5), window_s=4, max_windows=3, labels=("us", "other")
            )
        }
    ),
    starter_folder="accent",
    parts=_ENCODER_PARTS,
)

_DEEPFAKE = Checkpoint(
    key=ModelKey.DEEPFAKE,
    hub_id="voxgraph/deepfake-whisper-base",
    revision="",
    files=_HEAD_FILES,
    licence="mit",
    architectures=MappingProxyType(
        {
            Size.STARTER: DeepfakeHeadArchitecture(
                layers=(1, 2), window_s=5, max_windows=3, labels=("fake", "real")
            )
        }
    ),
    starter_folder="deepfake",
    parts=_ENCODER_PARTS,
)

# One speaker encoder takes both places, so that all its embeddings can be compared. One pipeline takes the
# places of both diarizations. One accent head
# answers both old services.
_ROWS = (
    _LANGUAGE,
    _SPEAKER,
    replace(_SPEAKER, key=ModelKey.SPEAKER_CNCELEB),
    _DIARIZATION,
    replace(_DIARIZATION, key=ModelKey.DIARIZATION_COMMUNITY_1),
    _ACCENT,
    replace(_ACCENT, key=ModelKey.ACCENT_ECAPA),
    _DEEPFAKE,
)

STARTER_CHECKPOINTS: Mapping[ModelKey, Checkpoint] = MappingProxyType({row.key: row for row in _ROWS})
"""The starter checkpoint of each model that has one."""
