"""Cache converted networks in a folder, so that only the first replica on a machine converts."""

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

SOURCE_PACKAGES = ("pipelines", "config")
"""Our packages whose code determines the converted network."""
DISTRIBUTIONS = ("openvino", "pyannote.audio", "speechbrain", "torch", "torchaudio")
"""Libraries whose versions determine it."""
MODEL, WEIGHTS = "model.xml", "model.bin"
UNFINISHED_PREFIX = "writing-"
ABANDONED_S = 3600.0
"""Age in seconds from which an unfinished entry is deleted: writing 1 GB takes less than a minute."""

Shapes = Sequence[Sequence[int]]


def load_or_convert(identity: str, shapes: Shapes, convert: Callable[[], openvino.Model]) -> openvino.Model:
    """Return a network in OpenVINO's format from the cache folder, converting it on a miss.

    A converted network is written to the folder in float32 and read back: its weights are then memory-mapped,
    and all replicas on the machine share them. If the folder cannot be written, if its group or others can
    write to it, or if an entry cannot be read, the network is converted and a warning is logged.

    Args:
        identity: Equal in every process for the same network with the same weights.
        shapes: Input shapes that the network is converted for, -1 where a dimension varies.
        convert: Converts the network.
    """
    folder = os.environ.get(ENGINE_CACHE)
    if not folder or not is_private_dir(Path(folder)):
        return convert()
    path = Path(folder) / _entry_name(identity, shapes)
    cached = _read(path)
    if cached is not None:
        return cached
    converted = convert()
    _write(converted, path)
    return _read(path) or converted


def is_private_dir(folder: Path) -> bool:
    """Create the folder if it is missing, and return whether only this user or root can write to it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        log.warning(f"Cannot cache converted networks in {folder}: {error}")
        return False
    is_shared = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if stat.S_ISDIR(status.st_mode) and status.st_uid in (0, os.geteuid()) and not is_shared:
        return True
    log.warning(f"Not caching converted networks in {folder}: other users can write to it, or it is a link.")
    return False


def _entry_name(identity: str, shapes: Shapes) -> str:
    versions = [f"{name} {version(name)}" for name in DISTRIBUTIONS]
    return hashlib.sha256(repr([identity, shapes, versions, _code_digest()]).encode()).hexdigest()[:32]


@cache
def _code_digest() -> str:
    """Return a digest of our code, which can change the network while checkpoint and libraries stay."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[2]
    for path in sorted(path for package in SOURCE_PACKAGES for path in (root / package).rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _read(path: Path) -> openvino.Model | None:
    if not path.is_dir():
        return None
    try:
        return openvino.Core().read_model(path / MODEL, path / WEIGHTS)
    except RuntimeError as error:
        log.warning(f"The converted network in {path} is damaged and will be converted again: {error}")
        shutil.rmtree(path, ignore_errors=True)
        return None


def _write(model: openvino.Model, path: Path) -> None:
    """Write an entry atomically; another process may write the same one at the same time."""
    try:
        _remove_unfinished(path.parent)
        folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=UNFINISHED_PREFIX))
        try:
            openvino.save_model(model, folder / MODEL, compress_to_fp16=False)
            folder.rename(path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except (OSError, RuntimeError) as error:
        if not path.is_dir():
            log.warning(f"Cannot cache a converted network in {path.parent}: {error}")


def _remove_unfinished(folder: Path) -> None:
    """Delete the unfinished entries of killed processes."""
    for unfinished in folder.glob(f"{UNFINISHED_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - unfinished.stat().st_mtime > ABANDONED_S:
                shutil.rmtree(unfinished, ignore_errors=True)
