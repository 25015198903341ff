"""Checkpoints with random weights in the hub's layouts."""

import json
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
import torch

from benchmarks.checkpoints import main
from config.checkpoints import CHECKPOINTS
from config.settings import CheckpointSource, ModelKey, Size
from pipelines import checkpoint_writer
from pipelines.checkpoint_writer import STAMP, write_checkpoint, write_demo_once, write_labels
from pipelines.checkpoints import LocatedCheckpoint, load_labels, load_tensors, locate
from pipelines.errors import CheckpointError
from pipelines.labels import COMMON_ACCENT_ECAPA, COMMON_ACCENT_XLSR, VOXLINGUA107

Demo = Callable[[ModelKey], LocatedCheckpoint]
ECAPA_MODELS = [
    ModelKey.LANGUAGE, ModelKey.SPEAKER_VOXCELEB, ModelKey.SPEAKER_CNCELEB, ModelKey.ACCENT_ECAPA,
]  # fmt: skip


def encoder(folder: Path) -> dict[str, torch.Tensor]:
    return load_tensors(folder / "embedding_model.ckpt")


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("model", ECAPA_MODELS)
def test_every_file_that_speechbrain_reads_is_written(model: ModelKey, demo: Demo) -> None:
    labels = "accent_encoder.txt" if model is ModelKey.ACCENT_ECAPA else "label_encoder.txt"
    expected = {
        "config.json", "hyperparams.yaml", "embedding_model.ckpt", "classifier.ckpt", labels, STAMP,
    }  # fmt: skip
    if model is ModelKey.SPEAKER_VOXCELEB:
        expected.add("mean_var_norm_emb.ckpt")

    folder = demo(model).folder

    assert {path.name for path in folder.iterdir()} == expected
    assert CHECKPOINTS[model].hub_id in (folder / "hyperparams.yaml").read_text()
    assert "speechbrain_interface" in json.loads((folder / "config.json").read_text())


def test_one_seed_writes_one_checkpoint_and_leaves_the_generator_alone(tmp_path: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)

    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_checkpoint(ModelKey.SPEAKER_CNCELEB, Size.DEMO, tmp_path / name, seed)

    assert torch.equal(torch.rand(3), expected)
    assert equal(encoder(tmp_path / "a"), encoder(tmp_path / "b"))
    assert not equal(encoder(tmp_path / "a"), encoder(tmp_path / "c"))


def test_the_two_speaker_encoders_differ(demo: Demo) -> None:
    voxceleb, cnceleb = demo(ModelKey.SPEAKER_VOXCELEB), demo(ModelKey.SPEAKER_CNCELEB)

    assert not equal(encoder(voxceleb.folder), encoder(cnceleb.folder))


def test_batch_norms_have_the_statistics_of_a_trained_network(demo: Demo) -> None:
    tensors = encoder(demo(ModelKey.LANGUAGE).folder)
    means = torch.cat([value for key, value in tensors.items() if key.endswith("running_mean")])
    variances = torch.cat([value for key, value in tensors.items() if key.endswith("running_var")])

    assert 0.01 < means.std() < 0.5
    assert variances.min() > 0.1
    assert variances.std() > 0.1


def test_the_language_labels_are_those_of_the_hub(demo: Demo) -> None:
    path = demo(ModelKey.LANGUAGE).file("label_encoder.txt")

    labels = load_labels(path, 107)

    assert path.stat().st_size == 2204
    assert labels == VOXLINGUA107
    assert (labels[20], labels[44], labels[46], labels[106]) == (
        "en: English", "iw: Hebrew", "jw: Javanese", "zh: Chinese",
    )  # fmt: skip


def test_the_two_accent_models_have_the_same_labels_in_other_orders(demo: Demo) -> None:
    path = demo(ModelKey.ACCENT_ECAPA).file("accent_encoder.txt")

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


def test_a_demo_is_written_once(tmp_path: Path) -> None:
    folder = write_demo_once(ModelKey.LANGUAGE, tmp_path)
    before = (folder / "embedding_model.ckpt").stat()

    write_demo_once(ModelKey.LANGUAGE, tmp_path)

    assert (folder / "embedding_model.ckpt").stat() == before


def test_a_demo_of_another_version_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_demo_once(ModelKey.LANGUAGE, tmp_path)
    (folder / "embedding_model.ckpt").write_bytes(b"of another version")

    monkeypatch.setattr(checkpoint_writer, "WRITER_VERSION", checkpoint_writer.WRITER_VERSION + 1)
    write_demo_once(ModelKey.LANGUAGE, tmp_path)

    assert encoder(folder)
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [folder]


@pytest.mark.parametrize("stamp", [b"", b"{", b"\xff", b"[]"])
def test_a_demo_with_a_damaged_stamp_is_written_anew(stamp: bytes, tmp_path: Path) -> None:
    folder = tmp_path / ModelKey.LANGUAGE
    folder.mkdir()
    (folder / STAMP).write_bytes(stamp)

    write_demo_once(ModelKey.LANGUAGE, tmp_path)

    assert encoder(folder)


def test_a_demo_may_be_read_by_whom_the_umask_allows(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()

    folder = write_demo_once(ModelKey.LANGUAGE, tmp_path)

    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_a_demo_folder_that_cannot_be_made_is_an_error_of_the_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(CheckpointError, match="cannot be written"):
        locate(ModelKey.LANGUAGE, CheckpointSource(source="demo"), tmp_path / "file")


WRITE_AND_READ = """
import sys
from pathlib import Path
import pipelines.ecapa
from config.settings import CheckpointSource, ModelKey
from pipelines.checkpoints import load_tensors, locate
print("ready", flush=True)
sys.stdin.readline()
for folder in sys.argv[1:]:
    found = locate(ModelKey.SPEAKER_VOXCELEB, CheckpointSource(source="demo"), Path(folder))
    load_tensors(found.file("embedding_model.ckpt"))
    print(found.file("embedding_model.ckpt").stat().st_ino)
"""


def test_processes_that_write_a_demo_at_once_find_the_same(tmp_path: Path) -> None:
    fresh, stale = tmp_path / "fresh", tmp_path / "stale"
    write_checkpoint(ModelKey.SPEAKER_VOXCELEB, Size.DEMO, stale / ModelKey.SPEAKER_VOXCELEB, seed=9)
    command = [sys.executable, "-c", WRITE_AND_READ, str(fresh), str(stale)]
    processes = [
        subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True, bufsize=1)
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")

    (first, error), (second, other_error) = (process.communicate(timeout=120) for process in processes)

    assert (error, other_error) == ("", "")
    assert first == second
    for folder in (fresh, stale):
        assert [path.name for path in folder.iterdir() if path.is_dir()] == ["speaker_voxceleb"]


def test_the_command_writes_a_folder_per_model_and_says_how_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments: list[Any] = ["", "--size", "demo", "--to", tmp_path, "--model", "language", "accent_ecapa"]
    monkeypatch.setattr(sys, "argv", [str(argument) for argument in arguments])

    main()

    assert {path.name for path in tmp_path.iterdir()} == {"language", "accent_ecapa"}
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["language", "accent_ecapa", "total"]
    total = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert f"{total / 1e6:.1f} MB" in lines[-1]
