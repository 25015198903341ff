"""Converted networks in a folder, so that a replica that comes after another converts none."""

import contextlib
import hashlib
import logging
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

from config.settings import ENGINE_CACHE
from pipelines.vendored.openvino import openvino

log = logging.getLogger(__name__)

SOURCES = ("pipelines", "config")
"""Packages whose code decides what is converted."""
DISTRIBUTIONS = ("openvino", "pyannote.audio", "speechbrain", "torch", "torchaudio")
"""Whose code does, too."""
MODEL, WEIGHTS = "model.xml", "model.bin"
UNFINISHED = "writing-"
ABANDONED_S = 3600.0
"""Age of what a process that was killed had not finished: a gigabyte is written within a minute."""

Shapes = Sequence[Sequence[int]]


def load_or_convert(identity: str, shapes: Shapes, convert: Callable[[], openvino.Model]) -> openvino.Model:
    """A network in OpenVINO's format: from the folder that the user named, else converted.

    What is converted is written there, in float32, and read back: the weights are then pages of a file, which
    all replicas of the machine share. A folder that cannot be written, or that others, its group included,
    can, and a file that cannot be read cost the conversion and a line in the log.

    Args:
        identity: The same for the same network with the same weights, whatever the process.
        shapes: What it is converted for.
        convert: Makes it.
    """
    folder = os.environ.get(ENGINE_CACHE)
    if not folder or not is_private_dir(Path(folder)):
        return convert()
    path = Path(folder) / _name(identity, shapes)
    found = _read(path)
    if found is not None:
        return found
    made = convert()
    _write(made, path)
    return _read(path) or made


def is_private_dir(folder: Path) -> bool:
    """Make the folder; whether nobody else may put networks into it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        log.warning(f"Converted networks cannot be kept in {folder}: {error}")
        return False
    is_shared = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if stat.S_ISDIR(found.st_mode) and found.st_uid in (0, os.geteuid()) and not is_shared:
        return True
    log.warning(f"Converted networks are not kept in {folder}: others may write there, or it is a link.")
    return False


def _name(identity: str, shapes: Shapes) -> str:
    versions = [f"{name} {version(name)}" for name in DISTRIBUTIONS]
    return hashlib.sha256(repr([identity, shapes, versions, _code()]).encode()).hexdigest()[:32]


@cache
def _code() -> str:
    """A digest of our own code: what it builds may change while checkpoints and libraries stay."""
    whole = hashlib.sha256()
    root = Path(__file__).parents[2]
    for path in sorted(path for package in SOURCES for path in (root / package).rglob("*.py")):
        whole.update(path.read_bytes())
    return whole.hexdigest()


def _read(path: Path) -> openvino.Model | None:
    if not path.is_dir():
        return None
    try:
        return openvino.Core().read_model(path / MODEL, path / WEIGHTS)
    except RuntimeError as error:
        log.warning(f"The converted network in {path} is damaged and is made again: {error}")
        shutil.rmtree(path, ignore_errors=True)
        return None


def _write(model: openvino.Model, path: Path) -> None:
    """All or nothing, whoever else writes the same."""
    try:
        _remove_unfinished(path.parent)
        folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=UNFINISHED))
        try:
            openvino.save_model(model, folder / MODEL, compress_to_fp16=False)
            folder.rename(path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except (OSError, RuntimeError) as error:
        if not path.is_dir():
            log.warning(f"A converted network cannot be kept in {path.parent}: {error}")


def _remove_unfinished(folder: Path) -> None:
    """What processes that are gone have left."""
    for left in folder.glob(f"{UNFINISHED}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > ABANDONED_S:
                shutil.rmtree(left, ignore_errors=True)
