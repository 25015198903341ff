"""The diarizer answers what pyannote's own pipeline does, on full-size random checkpoints."""

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from closeness import relative_difference
from launched import sample_path

from config.settings import AudioLimits, EngineOptions, ModelKey, SpeakerCount
from pipelines.audio import decode
from pipelines.checkpoints import LocatedCheckpoint
from pipelines.diarization import Diarizer
from pipelines.results import Turn, Waveform

TOLERANCE = 1e-4
SECONDS = 12


@pytest.fixture(scope="module")
def conversation() -> Waveform:
    return decode(sample_path().read_bytes(), AudioLimits())[5 * 16_000 : (5 + SECONDS) * 16_000]


def pyannotes_own(checkpoint: LocatedCheckpoint, community_1: LocatedCheckpoint, folder: Path) -> Any:
    """Pipeline.from_pretrained on a copy; what 3.1 takes from other repositories is named as subfolders."""
    from pyannote.audio import Pipeline

    shutil.copytree(checkpoint.folder, folder)
    shutil.copytree(community_1.folder / "plda", folder / "plda", dirs_exist_ok=True)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    names = ("segmentation", "embedding", "plda")
    config["pipeline"]["params"] |= {name: f"$model/{name}" for name in names}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return Pipeline.from_pretrained(folder)


@pytest.mark.parametrize("model", [ModelKey.DIARIZATION_31, ModelKey.DIARIZATION_COMMUNITY_1])
def test_turns_and_embeddings_are_those_of_pyannote(
    model: ModelKey,
    full: Callable[[ModelKey], LocatedCheckpoint],
    conversation: Waveform,
    tmp_path: Path,
) -> None:
    file = {"waveform": torch.tensor(conversation)[None], "sample_rate": 16_000, "uri": "recording"}
    kept: dict[str, Any] = {}

    def keep(step: str, artefact: Any, **progress: Any) -> None:
        if artefact is not None:
            kept[step] = artefact

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stock = pyannotes_own(full(model), full(ModelKey.DIARIZATION_COMMUNITY_1), tmp_path / "stock")
        expected = stock(file, hook=keep)
        assert len(list(expected.speaker_diarization.itertracks())) > 1
        for engine in ("torch", "openvino"):
            diarizer = Diarizer(full(model), "cpu", EngineOptions(engine=engine, precision="float32"))
            found = diarizer(conversation, SpeakerCount())
            said = diarizer.windows(conversation)

            expected_voices = kept["embeddings"][said.windows, said.speakers]
            assert relative_difference(said.embeddings, expected_voices) < TOLERANCE
            assert named_by_appearance(expected.speaker_diarization) == list(found.turns)
            exclusive = named_by_appearance(expected.exclusive_speaker_diarization)
            assert len(exclusive) == len(found.exclusive_turns)


def named_by_appearance(annotation: Any) -> list[Turn]:
    names: dict[str, str] = {}
    return [
        Turn(
            min(segment.start, SECONDS),
            min(segment.end, SECONDS),
            names.setdefault(label, f"SPEAKER_{len(names):02d}"),
        )
        for segment, _, label in annotation.itertracks(yield_label=True)
        if segment.start < SECONDS
    ]
