"""Checkpoints are verified before use: by a lock, by the first download, and by who may change them."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.checkpoint_types import CheckpointFile, CheckpointPart
from config.settings import CheckpointSource, Size
from config.starter_checkpoints import STARTER_CHECKPOINTS
from pipelines import checkpoint_lock, checkpoints
from pipelines.checkpoints import locate
from voxgraph.errors import CheckpointError
from voxgraph.options import ModelKey

STARTER = CheckpointSource(source="starter")
REVISION = "0" * 40


def test_the_lock_has_every_file_of_the_starters() -> None:
    files = {p for p in checkpoint_lock.STARTERS.rglob("*") if p.suffix in checkpoint_lock.READ_SUFFIXES}
    names = {str(path.relative_to(checkpoint_lock.STARTERS)) for path in files}

    assert set(checkpoint_lock.locked()) == names, f"run: {checkpoint_lock.REPAIR}"
    for name, digest in checkpoint_lock.locked().items():
        path = checkpoint_lock.STARTERS / name
        assert checkpoint_lock.digest_of(path) == digest, f"run: {checkpoint_lock.REPAIR}"


@pytest.mark.parametrize("model", STARTER_CHECKPOINTS)
def test_the_starters_are_what_the_lock_says(model: ModelKey) -> None:
    assert locate(model, STARTER).revision.startswith("starter-")


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Copy the speaker's starter with a lock of its own to a folder that takes the place of the starters."""
    shutil.copytree(checkpoint_lock.STARTERS / "speaker", tmp_path / "speaker")
    monkeypatch.setattr(checkpoints, "STARTER_FOLDER", tmp_path)
    monkeypatch.setattr(checkpoint_lock, "STARTERS", tmp_path)
    monkeypatch.setattr(checkpoint_lock, "LOCK", tmp_path / "checkpoints.lock")
    checkpoint_lock.write_lock()
    yield tmp_path
    checkpoint_lock.locked.cache_clear()


@pytest.mark.parametrize("file", ["model.safetensors", "calibration.json"])
def test_a_starter_with_one_bit_changed_is_refused_by_its_name(copied: Path, file: str) -> None:
    assert locate(ModelKey.SPEAKER_VOXCELEB, STARTER)
    path = copied / "speaker" / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    with pytest.raises(CheckpointError, match=rf"{file} has SHA-256 .* damaged or has been replaced"):
        locate(ModelKey.SPEAKER_VOXCELEB, STARTER)


def test_a_file_that_the_lock_does_not_have_is_refused(copied: Path) -> None:
    checkpoint_lock.LOCK.write_text("{}")
    checkpoint_lock.locked.cache_clear()

    with pytest.raises(CheckpointError, match=r"is not in checkpoints\.lock"):
        locate(ModelKey.SPEAKER_VOXCELEB, STARTER)


def test_what_every_user_may_change_is_refused(copied: Path) -> None:
    for path in (copied / "speaker", copied / "speaker" / "model.safetensors"):
        mode = path.stat().st_mode
        path.chmod(0o777)
        for source in (STARTER, CheckpointSource(source=str(copied / "speaker"), size=Size.STARTER)):
            with pytest.raises(CheckpointError, match="every user"):
                locate(ModelKey.SPEAKER_VOXCELEB, source)
        path.chmod(mode)

    assert locate(ModelKey.SPEAKER_VOXCELEB, STARTER)


def test_a_file_is_read_again_only_if_it_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    first = checkpoint_lock.digest_of(path)
    read = 0
    real = checkpoint_lock.hashlib.file_digest

    def counted(*arguments: object) -> object:
        nonlocal read
        read += 1
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(checkpoint_lock.hashlib, "file_digest", counted)
    assert checkpoint_lock.digest_of(path) == first
    assert read == 0
    (tmp_path / "new").write_bytes(b"two")
    os.replace(tmp_path / "new", path)

    assert checkpoint_lock.digest_of(path) != first
    assert read == 1


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """Return a snapshot as the hub's cache has it: links to files named by their content."""
    repository = tmp_path / "models--a--b"
    folder = repository / "snapshots" / REVISION
    folder.mkdir(parents=True)
    (repository / "blobs").mkdir()
    for name in ("one.bin", "two.bin"):
        (repository / "blobs" / name).write_bytes(name.encode())
        (folder / name).symlink_to(repository / "blobs" / name)
    return folder


PART = CheckpointPart("a/b", REVISION, (CheckpointFile("one.bin"), CheckpointFile("two.bin")), "mit")


def test_the_first_download_is_recorded_and_another_content_later_is_refused(snapshot: Path) -> None:
    checkpoint_lock.check_download(PART, snapshot)
    (record,) = snapshot.parent.parent.glob("*.lock")
    assert set(json.loads(record.read_text())) == {"one.bin", "two.bin"}
    checkpoint_lock.check_download(PART, snapshot)
    (snapshot / "two.bin").unlink()
    (snapshot / "two.bin").write_bytes(b"swapped")

    with pytest.raises(CheckpointError, match="the first download was"):
        checkpoint_lock.check_download(PART, snapshot)


def test_a_published_digest_counts_at_the_first_download(snapshot: Path) -> None:
    part = CheckpointPart("a/b", REVISION, (CheckpointFile("one.bin", "0" * 64),), "mit")

    with pytest.raises(CheckpointError, match="its publisher says"):
        checkpoint_lock.check_download(part, snapshot)
    assert list(snapshot.parent.parent.glob("*.lock")) == []


def test_a_missing_file_and_a_broken_record_are_refused(snapshot: Path) -> None:
    checkpoint_lock.check_download(PART, snapshot)
    (record,) = snapshot.parent.parent.glob("*.lock")
    record.write_text("[")
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoint_lock.check_download(PART, snapshot)
    record.unlink()
    (snapshot / "one.bin").unlink()

    with pytest.raises(CheckpointError, match=r"one\.bin is missing"):
        checkpoint_lock.check_download(PART, snapshot)


def test_the_hubs_file_behind_a_link_is_checked_for_who_may_change_it(snapshot: Path) -> None:
    checkpoint_lock.check_rights(snapshot, ["one.bin"])
    (snapshot.parent.parent / "blobs").chmod(0o777)

    with pytest.raises(CheckpointError, match="blobs may be changed by every user"):
        checkpoint_lock.check_rights(snapshot, ["one.bin"])
