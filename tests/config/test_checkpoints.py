"""The table of checkpoints."""

import re

import pytest

from config.checkpoint_types import Checkpoint, CheckpointPart
from config.checkpoints import CHECKPOINTS
from config.settings import CheckpointSource, Size
from voxgraph.options import ModelKey

REPOSITORIES: list[Checkpoint | CheckpointPart] = [
    *CHECKPOINTS.values(),
    *(part for row in CHECKPOINTS.values() for part in row.parts.values()),
]


def test_every_model_has_a_row() -> None:
    assert set(CHECKPOINTS) == set(ModelKey)


@pytest.mark.parametrize("row", REPOSITORIES, ids=lambda row: row.hub_id)
def test_a_row_is_pinned_to_a_commit(row: Checkpoint | CheckpointPart) -> None:
    assert re.fullmatch(r"[0-9a-f]{40}", row.revision)


@pytest.mark.parametrize("row", REPOSITORIES, ids=lambda row: row.hub_id)
def test_a_digest_is_a_sha256(row: Checkpoint | CheckpointPart) -> None:
    for file in row.files:
        assert file.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", file.sha256)


@pytest.mark.parametrize("row", CHECKPOINTS.values(), ids=lambda row: row.key)
def test_the_small_network_has_the_outputs_of_the_published_model(row: Checkpoint) -> None:
    full, small = row.architectures[Size.FULL], row.architectures[Size.SMALL]

    assert type(full) is type(small)
    for name in ("embedding_dim", "n_labels", "n_mels"):
        assert getattr(full, name, None) == getattr(small, name, None)


def test_only_the_starter_has_a_size_of_its_own_by_default() -> None:
    assert CheckpointSource(source="starter").architecture is Size.STARTER
    assert CheckpointSource(source="hub").architecture is Size.FULL
    assert CheckpointSource(source="/models/language").architecture is Size.FULL
    assert CheckpointSource(source="/models/language", size=Size.SMALL).architecture is Size.SMALL
