"""Verify checkpoints before they are used: by content once, then by the identity of each file.

`LOCK` has the SHA-256 of every file of the starter checkpoints. The table has those that the publisher of a
repository on the hub names. What neither has is recorded beside the hub's cache at the first download, and a
later content must be the same.
"""

import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from config.checkpoint_types import Checkpoint, CheckpointFile, CheckpointPart
from voxgraph.errors import CheckpointError

STARTERS = Path(__file__).parents[1] / "checkpoints" / "starter"
LOCK = STARTERS / "checkpoints.lock"
"""JSON: SHA-256 in hex by the path of the file below `STARTERS`."""
RECORD_SUFFIX = ".voxgraph.lock"
READ_SUFFIXES = {".json", ".safetensors", ".yaml"}
"""Suffixes of the files of starter checkpoints that a model reads."""
REPAIR = "python deploy/fetch_checkpoints.py --lock"

Identity = tuple[int, int, int, int]


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex; it is read again only if it is another file or has changed."""
    found = path.stat()
    return _digest(path.resolve(), (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size))


@cache
def _digest(path: Path, _identity: Identity) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def check_rights(folder: Path, files: Iterable[str]) -> None:
    """Raise `CheckpointError` if every user of the machine may change or replace a file of a checkpoint."""
    paths = {folder / name for name in files}
    for path in {*paths, *(path.resolve() for path in paths)}:
        for each in (path, path.parent):
            if (
                each.exists()
                and each.stat().st_mode & stat.S_IWOTH
                and not each.stat().st_mode & stat.S_ISVTX
            ):
                raise CheckpointError(
                    f"{each} may be changed by every user of this machine: chmod o-w it, and make sure that "
                    "its content is what you want."
                )


def check_starter(path: Path) -> None:
    """Raise `CheckpointError` if a file of the starter checkpoints is not the one in `LOCK`."""
    name = str(path.relative_to(STARTERS))
    expected = locked().get(name)
    if expected is None:
        raise CheckpointError(f"{name} is not in {LOCK.name}; if it is yours, run: {REPAIR}")
    _check(path, expected, f"{LOCK.name} says")


@cache
def locked() -> Mapping[str, str]:
    """Return the digests of `LOCK`; empty if there is no such file."""
    digests: dict[str, str] = json.loads(LOCK.read_text()) if LOCK.exists() else {}
    return digests


def check_download(repository: Checkpoint | CheckpointPart, folder: Path) -> None:
    """Check the files of a snapshot in the hub's cache, and record those whose digest nobody has published.

    Raises:
        CheckpointError: A file is missing, or has another content than the table or the record says.
    """
    record = folder.parent.parent / f"{repository.revision}{RECORD_SUFFIX}"
    recorded = _read_record(record)
    found = {}
    for file in repository.files:
        path = folder / file.name
        if not path.is_file():
            raise CheckpointError(f"{file.name} is missing in {path.parent}.")
        found[file.name] = _verified(path, file, recorded, record)
    if found != recorded:
        _write_record(record, found)


def _verified(path: Path, file: CheckpointFile, recorded: Mapping[str, str], record: Path) -> str:
    if file.sha256 is not None:
        return _check(path, file.sha256, "its publisher says")
    if file.name in recorded:
        return _check(path, recorded[file.name], f"the first download was (recorded in {record})")
    return digest_of(path)


def _check(path: Path, expected: str, who: str) -> str:
    actual = digest_of(path)
    if actual != expected:
        raise CheckpointError(
            f"{path} has SHA-256 {actual}, but {who} {expected}: it is damaged or has been replaced. Delete "
            "it and fetch it again."
        )
    return actual


def _read_record(record: Path) -> dict[str, str]:
    try:
        found = json.loads(record.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{record} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{record} is no record of digests.")
    return found


def _write_record(record: Path, digests: Mapping[str, str]) -> None:
    """Write a record at once; a read-only cache keeps the one that it came with, or none."""
    written = record.with_name(f".{record.name}.{secrets.token_hex(4)}")
    try:
        written.write_text(json.dumps(digests, indent=2) + "\n")
        written.replace(record)
    except OSError:
        if os.access(record.parent, os.W_OK):
            raise


def write_lock() -> int:
    """Write `LOCK` anew from the files of the starter checkpoints; return their number."""
    files = sorted(path for path in STARTERS.rglob("*") if path.suffix in READ_SUFFIXES)
    digests = {str(path.relative_to(STARTERS)): digest_of(path) for path in files}
    LOCK.write_text(json.dumps(digests, indent=2) + "\n")
    locked.cache_clear()
    return len(files)
