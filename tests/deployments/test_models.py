"""Which pipeline a deployment of one model loads."""

import pkgutil
from types import SimpleNamespace
from typing import Any

import pytest
from small_checkpoints import small_source

from config import checkpoints
from config.checkpoint_types import Checkpoint
from config.checkpoints import CHECKPOINTS
from config.settings import CheckpointSource, EngineOptions, Size
from config.starter_checkpoints import STARTER_CHECKPOINTS
from deployments import loading
from deployments.loading import DIARIZERS, FAMILIES, PIPELINES
from deployments.models import WaveformModel
from pipelines.checkpoints import locate
from voxgraph.options import ModelKey

# Resolved at collection, when `tests/conftest.py` prepares SpeechBrain's lazy modules for Hypothesis.
TABLES = (PIPELINES, FAMILIES, DIARIZERS)
CLASSES = {name: pkgutil.resolve_name(name) for table in TABLES for name in table.values()}
OTHER_ROWS = [*checkpoints.FAMILIES.values(), *STARTER_CHECKPOINTS.values()]


def replica_of(model: ModelKey) -> WaveformModel:
    replica = WaveformModel.__new__(WaveformModel)
    replica._model = model
    return replica


def pipeline_of(model: ModelKey, row: Checkpoint, size: Size, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the class that a replica loads; the class itself is left alone."""
    named: list[str] = []

    def resolve_name(name: str) -> Any:
        named.append(name)
        return lambda *arguments: arguments

    monkeypatch.setattr(loading.pkgutil, "resolve_name", resolve_name)
    checkpoint: Any = SimpleNamespace(architecture=row.architectures[size])
    replica_of(model).load_pipeline(checkpoint, "cpu", EngineOptions())
    return named[0]


@pytest.mark.parametrize("size", [Size.FULL, Size.SMALL])
@pytest.mark.parametrize("model", list(PIPELINES))
def test_a_published_checkpoint_loads_the_pipeline_of_its_model(
    model: ModelKey, size: Size, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pipeline_of(model, CHECKPOINTS[model], size, monkeypatch) == PIPELINES[model]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (small_source(ModelKey.LANGUAGE), "LanguageIdentifier"),
        (CheckpointSource(source="starter"), "WhisperLanguageIdentifier"),
    ],
)
def test_the_checkpoint_decides_which_pipeline_identifies_languages(
    source: CheckpointSource, expected: str
) -> None:
    checkpoint = locate(ModelKey.LANGUAGE, source)

    pipeline = replica_of(ModelKey.LANGUAGE).load_pipeline(checkpoint, "cpu", EngineOptions(engine="torch"))

    assert type(pipeline).__name__ == expected


@pytest.mark.parametrize("model", [ModelKey.SPEAKER_VOXCELEB, ModelKey.SPEAKER_CNCELEB])
def test_a_starter_speaker_encoder_loads_campplus(model: ModelKey, monkeypatch: pytest.MonkeyPatch) -> None:
    found = pipeline_of(model, STARTER_CHECKPOINTS[model], Size.STARTER, monkeypatch)

    assert found == "pipelines.speaker_campplus:CamPlusPlusEncoder"


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_pipeline_that_is_named_exists(name: str) -> None:
    assert isinstance(CLASSES[name], type)


@pytest.mark.parametrize("row", OTHER_ROWS, ids=lambda row: f"{row.key}-{row.hub_id}")
def test_every_network_of_another_kind_has_a_pipeline(row: Checkpoint) -> None:
    published = type(CHECKPOINTS[row.key].architectures[Size.FULL])

    for architecture in row.architectures.values():
        assert type(architecture) is not published
        assert type(architecture) in FAMILIES | DIARIZERS
