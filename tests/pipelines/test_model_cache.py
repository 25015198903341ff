"""Cached networks give the same results as newly converted ones and are never mistaken for others."""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openvino
import pytest
import torch
from torch import Tensor, nn

from config.settings import ENGINE_CACHE, EngineOptions
from pipelines.accent_xlsr import XlsrAccentClassifier
from pipelines.checkpoints import LocatedCheckpoint
from pipelines.deepfake import DeepfakeDetector
from pipelines.diarization import Diarizer
from pipelines.engines import model_cache
from pipelines.engines import openvino as engine
from pipelines.engines.model_cache import ABANDONED_S
from pipelines.engines.openvino import OpenVinoNetwork
from pipelines.speaker import SpeakerEncoder
from voxgraph.options import ModelKey
from voxgraph.results import Waveform

SHAPES = ((-1, 4),)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(ENGINE_CACHE, str(tmp_path / "engines"))
    return tmp_path / "engines"


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that grows with each conversion."""
    convert, found = engine._trace_and_convert, []

    def counted(*args: object) -> openvino.Model:
        found.append("converted")
        return convert(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(engine, "_trace_and_convert", counted)
    return found


def network(weight: float = 1.0) -> nn.Module:
    layer = nn.Linear(4, 2)
    nn.init.constant_(layer.weight, weight)
    nn.init.constant_(layer.bias, 0.5)
    return layer.eval().requires_grad_(False)


def answer(module: nn.Module, identity: str | None = "a checkpoint") -> Tensor:
    return OpenVinoNetwork(module, (torch.zeros(2, 4),), SHAPES, "float32", identity)(torch.ones(3, 4))


def test_a_cached_network_is_not_converted_again(folder: Path, conversions: list[str]) -> None:
    first, second = answer(network()), answer(network())

    assert conversions == ["converted"]
    assert torch.equal(first, network()(torch.ones(3, 4)))
    assert torch.equal(first, second)
    assert [path.name for path in folder.iterdir()] != []
    assert folder.stat().st_mode & 0o077 == 0


def test_other_weights_code_or_versions_miss_the_cache(
    folder: Path, conversions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(network(), "one")
    assert torch.equal(answer(network(2.0), "other"), network(2.0)(torch.ones(3, 4)))
    monkeypatch.setattr(model_cache, "_code_digest", lambda: "edited")
    answer(network(), "one")
    monkeypatch.setattr(model_cache, "version", lambda _: "2099.1")
    answer(network(), "one")

    assert len(conversions) == 4
    assert len(list(folder.iterdir())) == 4


@pytest.mark.parametrize("file", [model_cache.MODEL, model_cache.WEIGHTS])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_entry_is_converted_again(
    file: str, damage: str, folder: Path, conversions: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    answer(network())
    (path,) = folder.glob(f"*/{file}")
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with caplog.at_level(logging.WARNING):
        assert torch.equal(answer(network()), network()(torch.ones(3, 4)))
    assert "damaged" in caplog.text
    answer(network())

    assert len(conversions) == 2


def test_an_unwritable_folder_only_disables_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, conversions: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv(ENGINE_CACHE, str(tmp_path / "file"))

    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert torch.equal(answer(network()), network()(torch.ones(3, 4)))

    assert len(conversions) == 2
    assert "Cannot cache converted networks" in caplog.text


@pytest.mark.parametrize("kind", ["all may write", "the group may write", "a link"])
def test_a_folder_that_others_can_write_to_is_not_read(
    kind: str, folder: Path, conversions: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    answer(network())
    if kind == "a link":
        folder.rename(folder.parent / "elsewhere")
        folder.symlink_to(folder.parent / "elsewhere")
    else:
        folder.chmod(0o777 if kind == "all may write" else 0o770)

    with caplog.at_level(logging.WARNING):
        assert torch.equal(answer(network()), network()(torch.ones(3, 4)))

    assert len(conversions) == 2
    assert "other users can write to it" in caplog.text


def test_unfinished_entries_of_killed_processes_are_deleted(folder: Path, conversions: list[str]) -> None:
    for name, age_s in (("writing-old", 2 * ABANDONED_S), ("writing-new", 0.0)):
        (folder / name).mkdir(parents=True)
        (folder / name / "model.bin").write_bytes(b"half")
        os.utime(folder / name, (time.time() - age_s,) * 2)
    folder.chmod(0o700)

    answer(network())

    assert not (folder / "writing-old").exists()
    assert (folder / "writing-new" / "model.bin").exists()


def test_a_full_disk_only_disables_the_cache(
    folder: Path, conversions: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(openvino, "save_model", full)

    with caplog.at_level(logging.WARNING):
        assert torch.equal(answer(network()), network()(torch.ones(3, 4)))

    assert "No space left" in caplog.text
    assert not list(folder.iterdir())


def test_nothing_is_cached_without_a_folder_or_an_identity(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, conversions: list[str]
) -> None:
    answer(network(), None)
    assert not folder.exists()
    monkeypatch.delenv(ENGINE_CACHE)
    answer(network())

    assert not list(tmp_path.iterdir())
    assert len(conversions) == 2


@pytest.mark.parametrize(
    ("model", "load", "networks"),
    [
        (ModelKey.SPEAKER_VOXCELEB, SpeakerEncoder, 1),
        (ModelKey.ACCENT_XLSR, XlsrAccentClassifier, 1),
        (ModelKey.DEEPFAKE, DeepfakeDetector, 1),
        (ModelKey.DIARIZATION_COMMUNITY_1, Diarizer, 2),
    ],
)
def test_a_pipeline_with_cached_networks_gives_the_same_results(
    model: ModelKey,
    load: Callable[..., Any],
    networks: int,
    folder: Path,
    small: Callable[[ModelKey], LocatedCheckpoint],
    clip: Callable[..., Waveform],
    conversions: list[str],
) -> None:
    options = EngineOptions(engine="openvino", precision="float32")

    def results() -> list[Any]:
        pipeline = load(small(model), "cpu", options)
        if isinstance(pipeline, Diarizer):
            return [pipeline.windows(clip(12 * 16_000)).embeddings.tolist()]
        return [str(result) for result in pipeline([clip(40_000), clip(16_000)])]

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(ENGINE_CACHE)
        converted = results()
    written, cached = results(), results()

    assert converted == written == cached
    assert len(conversions) == 2 * networks
    assert len(list(folder.iterdir())) == networks
