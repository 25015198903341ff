"""Checkpoints with random weights in the hub's layouts."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.checkpoints import main
from config.checkpoints import CHECKPOINTS
from config.settings import CheckpointSource, Size
from config.starter_checkpoints import STARTER_CHECKPOINTS
from pipelines.checkpoints import LocatedCheckpoint, load_labels, load_tensors, locate
from pipelines.whisper_checkpoint import load_whisper
from training.layouts.common import write_labels
from training.layouts.labels import COMMON_ACCENT_ECAPA, COMMON_ACCENT_XLSR, VOXLINGUA107
from training.layouts.writer import write_checkpoint
from voxgraph.options import ModelKey

Small = Callable[[ModelKey], LocatedCheckpoint]
ECAPA_MODELS = [
    ModelKey.LANGUAGE, ModelKey.SPEAKER_VOXCELEB, ModelKey.SPEAKER_CNCELEB, ModelKey.ACCENT_ECAPA,
]  # fmt: skip


def encoder(folder: Path) -> dict[str, torch.Tensor]:
    return load_tensors(folder / "embedding_model.ckpt")


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("model", ECAPA_MODELS)
def test_every_file_that_speechbrain_reads_is_written(model: ModelKey, small: Small) -> None:
    labels = "accent_encoder.txt" if model is ModelKey.ACCENT_ECAPA else "label_encoder.txt"
    expected = {
        "config.json", "hyperparams.yaml", "embedding_model.ckpt", "classifier.ckpt", labels,
    }  # fmt: skip
    if model is ModelKey.SPEAKER_VOXCELEB:
        expected.add("mean_var_norm_emb.ckpt")

    folder = small(model).folder

    assert {path.name for path in folder.iterdir()} == expected
    assert CHECKPOINTS[model].hub_id in (folder / "hyperparams.yaml").read_text()
    assert "speechbrain_interface" in json.loads((folder / "config.json").read_text())


def test_one_seed_writes_one_checkpoint_and_leaves_the_generator_alone(tmp_path: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)

    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_checkpoint(ModelKey.SPEAKER_CNCELEB, Size.SMALL, tmp_path / name, seed)

    assert torch.equal(torch.rand(3), expected)
    assert equal(encoder(tmp_path / "a"), encoder(tmp_path / "b"))
    assert not equal(encoder(tmp_path / "a"), encoder(tmp_path / "c"))


def test_the_two_speaker_encoders_differ(small: Small) -> None:
    voxceleb, cnceleb = small(ModelKey.SPEAKER_VOXCELEB), small(ModelKey.SPEAKER_CNCELEB)

    assert not equal(encoder(voxceleb.folder), encoder(cnceleb.folder))


def test_batch_norms_have_the_statistics_of_a_trained_network(small: Small) -> None:
    tensors = encoder(small(ModelKey.LANGUAGE).folder)
    means = torch.cat([value for key, value in tensors.items() if key.endswith("running_mean")])
    variances = torch.cat([value for key, value in tensors.items() if key.endswith("running_var")])

    assert 0.01 < means.std() < 0.5
    assert variances.min() > 0.1
    assert variances.std() > 0.1


def test_the_language_labels_are_those_of_the_hub(small: Small) -> None:
    path = small(ModelKey.LANGUAGE).file("label_encoder.txt")

    labels = load_labels(path, 107)

    assert path.stat().st_size == 2204
    assert labels == VOXLINGUA107
    assert (labels[20], labels[44], labels[46], labels[106]) == (
        "en: English", "iw: Hebrew", "jw: Javanese", "zh: Chinese",
    )  # fmt: skip


def test_the_two_accent_models_have_the_same_labels_in_other_orders(small: Small) -> None:
    path = small(ModelKey.ACCENT_ECAPA).file("accent_encoder.txt")

    labels = load_labels(path, 16)

    assert path.stat().st_size == 297
    assert list(labels) == COMMON_ACCENT_ECAPA
    assert sorted(labels) == sorted(COMMON_ACCENT_XLSR)
    assert list(labels) != COMMON_ACCENT_XLSR


def test_labels_are_written_as_speechbrain_writes_them(tmp_path: Path) -> None:
    from speechbrain.dataio.encoder import CategoricalEncoder

    labels = ["en: English", "it's => odd", "zh: 中文"]
    reference = CategoricalEncoder()
    reference.update_from_iterable(labels, sequence_input=False)
    reference.save(tmp_path / "reference.txt")

    write_labels(tmp_path / "ours.txt", labels)

    assert (tmp_path / "ours.txt").read_bytes() == (tmp_path / "reference.txt").read_bytes()


def test_the_command_writes_a_folder_per_model_and_says_how_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments: list[Any] = ["", "--size", "small", "--to", tmp_path, "--model", "language", "accent_ecapa"]
    monkeypatch.setattr(sys, "argv", [str(argument) for argument in arguments])

    main()

    assert {path.name for path in tmp_path.iterdir()} == {"language", "accent_ecapa"}
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["language", "accent_ecapa", "total"]
    total = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert f"{total / 1e6:.1f} MB" in lines[-1]


@pytest.mark.parametrize("model", STARTER_CHECKPOINTS)
def test_a_starter_layout_has_the_files_of_its_row(model: ModelKey, tmp_path: Path) -> None:
    write_checkpoint(model, Size.STARTER, tmp_path)

    row = STARTER_CHECKPOINTS[model]
    assert {path.name for path in tmp_path.iterdir()} == {file.name for file in row.files} | set(row.parts)
    for folder, part in row.parts.items():
        assert {path.name for path in (tmp_path / folder).iterdir()} == {file.name for file in part.files}
    checkpoint = locate(model, CheckpointSource(source=str(tmp_path), size=Size.STARTER))
    assert checkpoint.size is Size.STARTER


def test_the_written_language_starter_loads(tmp_path: Path) -> None:
    write_checkpoint(ModelKey.LANGUAGE, Size.STARTER, tmp_path)
    source = CheckpointSource(source=str(tmp_path), size=Size.STARTER)

    network = load_whisper(locate(ModelKey.LANGUAGE, source))

    assert network.decoder.start.any()
    assert network.decoder.tokens.any()
