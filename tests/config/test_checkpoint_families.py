"""Which row of the tables a checkpoint source means."""

import re
from dataclasses import replace

import pytest

from config import checkpoints
from config.checkpoint_types import Checkpoint
from config.checkpoints import CHECKPOINTS, FAMILIES, row_for
from config.settings import CheckpointSource, Family, Size
from config.starter_checkpoints import STARTER_CHECKPOINTS
from voxgraph.errors import CheckpointError
from voxgraph.options import ModelKey

ROWS = [*FAMILIES.values(), *STARTER_CHECKPOINTS.values()]


@pytest.mark.parametrize("source", ["hub", "/models/language"])
def test_a_source_without_a_family_means_the_models_own_row(source: str) -> None:
    for model in ModelKey:
        assert row_for(model, CheckpointSource(source=source)) is CHECKPOINTS[model]


def test_a_family_means_its_row() -> None:
    source = CheckpointSource(source="hub", family=Family.WHISPER)

    assert row_for(ModelKey.LANGUAGE, source).hub_id == "openai/whisper-base"


def test_a_family_that_a_model_has_no_network_of_is_refused() -> None:
    source = CheckpointSource(family=Family.WHISPER)

    with pytest.raises(CheckpointError, match="deepfake has no network of the family whisper"):
        row_for(ModelKey.DEEPFAKE, source)


def test_the_starter_means_its_row_whatever_the_source() -> None:
    assert CheckpointSource(source="starter").architecture is Size.STARTER
    for source in ("starter", "/models/language"):
        row = row_for(ModelKey.LANGUAGE, CheckpointSource(source=source, size=Size.STARTER))
        assert row is STARTER_CHECKPOINTS[ModelKey.LANGUAGE]


def test_a_model_without_a_starter_checkpoint_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "STARTER_CHECKPOINTS", {})

    with pytest.raises(CheckpointError, match="deepfake has no starter checkpoint"):
        row_for(ModelKey.DEEPFAKE, CheckpointSource(source="starter"))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.key}-{row.hub_id}")
def test_a_row_is_pinned_to_a_commit_or_is_a_starter_that_is_not_on_the_hub(row: Checkpoint) -> None:
    assert re.fullmatch(r"[0-9a-f]{40}", row.revision) or (not row.revision and row.starter_folder)


def test_the_speaker_encoders_have_one_starter_checkpoint() -> None:
    voxceleb, cnceleb = (
        STARTER_CHECKPOINTS[key] for key in (ModelKey.SPEAKER_VOXCELEB, ModelKey.SPEAKER_CNCELEB)
    )

    assert replace(voxceleb, key=cnceleb.key) == cnceleb


def test_the_diarizations_have_one_starter_checkpoint_with_the_speakers_encoder() -> None:
    version_31, community_1 = (
        STARTER_CHECKPOINTS[key] for key in (ModelKey.DIARIZATION_31, ModelKey.DIARIZATION_COMMUNITY_1)
    )
    speaker = STARTER_CHECKPOINTS[ModelKey.SPEAKER_VOXCELEB]

    assert replace(version_31, key=community_1.key) == community_1
    (part,) = version_31.parts.values()
    assert (part.hub_id, part.files, part.starter_folder) == (
        speaker.hub_id,
        speaker.files,
        speaker.starter_folder,
    )


def test_a_row_stands_under_its_own_model() -> None:
    assert all(row.key is model for (model, _), row in FAMILIES.items())
    assert all(row.key is model for model, row in STARTER_CHECKPOINTS.items())
    assert all(Size.STARTER in row.architectures for row in STARTER_CHECKPOINTS.values())
