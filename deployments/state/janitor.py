"""Deletes old files inside one folder, and nothing outside it."""

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from config.settings import ENGINE_CACHE
from voxgraph.graph import CleanupStats, FolderInfo

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
"""How a folder is opened: not if it is a link."""


class Janitor:
    """Cleans one folder; with None there is nothing to clean.

    Directories are opened without following links and files are named relative to them, so a link inside the
    folder, or in place of the folder, is never followed. A link to a file, or to nothing, is deleted like a
    file; one to a folder stays.

    Raises:
        ValueError: The folder has files that are needed.
    """

    def __init__(self, folder: Path | None) -> None:
        if folder is not None:
            _check(folder)
        self.folder = folder
        self.stats = CleanupStats()

    def info(self) -> FolderInfo:
        """Return the number of files and their bytes."""
        with self._opened() as top:
            if top is None:
                return FolderInfo(exists=False)
            sizes = [found.st_size for _, _, found in _files(top)]
        return FolderInfo(True, len(sizes), sum(sizes))

    def clean(self, max_age_s: float) -> tuple[int, int]:
        """Delete files last written more than `max_age_s` seconds ago; return their number and bytes."""
        oldest, deleted, freed = time.time() - max_age_s, 0, 0
        with self._opened() as top:
            for directory, name, found in [] if top is None else _files(top):
                if found.st_mtime >= oldest:
                    continue
                with suppress(OSError):
                    os.unlink(name, dir_fd=directory)
                    deleted, freed = deleted + 1, freed + found.st_size
        before = self.stats
        self.stats = CleanupStats(
            time.time(), before.total_cleanups + 1, before.files_deleted + deleted, before.bytes_freed + freed
        )
        return deleted, freed

    @contextmanager
    def _opened(self) -> Iterator[int | None]:
        """Open the folder and yield its descriptor; None if it does not exist or is a link."""
        top: int | None = None
        if self.folder is not None:
            with suppress(OSError):
                top = os.open(self.folder, _FOLDER)
        try:
            yield top
        finally:
            if top is not None:
                os.close(top)


def _check(folder: Path) -> None:
    """Refuse a folder whose old files are the service's own, or those of the whole machine."""
    if not folder.is_absolute():
        raise ValueError(f"uploads_folder must be an absolute path, not {folder}.")
    found = folder.resolve()
    code, home = Path(__file__).resolve().parents[2], Path(os.path.expanduser("~"))
    caches = [Path(os.environ.get("HF_HOME") or home / ".cache" / "huggingface")]
    if engines := os.environ.get(ENGINE_CACHE):
        caches.append(Path(engines))
    held = [path for path in (code, home, *caches) if path.resolve().is_relative_to(found)]
    held += [path for path in caches if found.is_relative_to(path.resolve())]
    if held:
        raise ValueError(
            f"uploads_folder must not be {folder}: the files of {held[0]} would be deleted there."
        )


def _files(top: int) -> Iterator[tuple[int, str, os.stat_result]]:
    """Yield every file and link below a directory: descriptor of its parent, name and stat result.

    `os.fwalk` calls itself for each level until Python 3.12 and keeps a descriptor open for each, so that a
    thousand nested folders ended it. Here one folder is open at a time, whatever the depth. What cannot be
    read is left out. The walk ends if the folder above was replaced meanwhile: it may be one outside.
    """
    directory = os.open(".", _FOLDER, dir_fd=top)
    try:
        with suppress(OSError):
            above = list[_Level]()
            level = _Level.of(directory)
            while True:
                for name, status in level.files:
                    yield directory, name, status
                level.files.clear()
                if level.folders:
                    child = _opened(level.folders.pop(), directory)
                    if child is None:
                        continue
                    os.close(directory)
                    directory = child
                    above.append(level)
                    level = _Level.of(directory)
                elif above:
                    parent = os.open("..", _FOLDER, dir_fd=directory)
                    os.close(directory)
                    directory = parent
                    level = above.pop()
                    if _identity(directory) != level.identity:
                        return
                else:
                    return
    finally:
        os.close(directory)


@dataclass(frozen=True, slots=True)
class _Level:
    """What is left to do in a folder."""

    identity: tuple[int, int]
    files: list[tuple[str, os.stat_result]]
    """Files and links to files, with their stat results."""
    folders: list[str]

    @classmethod
    def of(cls, directory: int) -> "_Level":
        """Return what an open folder has."""
        level = cls(_identity(directory), [], [])
        with suppress(OSError):
            for name in os.listdir(directory):
                with suppress(OSError):
                    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        level.folders.append(name)
                    elif stat.S_ISREG(status.st_mode) or _is_link_to_a_file(name, status, directory):
                        level.files.append((name, status))
        return level


def _is_link_to_a_file(name: str, status: os.stat_result, directory: int) -> bool:
    """Return whether it is a link that leads to anything but a folder; a link to a folder stays."""
    if not stat.S_ISLNK(status.st_mode):
        return False
    with suppress(OSError):
        return not stat.S_ISDIR(os.stat(name, dir_fd=directory).st_mode)
    return True


def _opened(name: str, directory: int) -> int | None:
    with suppress(OSError):
        return os.open(name, _FOLDER, dir_fd=directory)
    return None


def _identity(directory: int) -> tuple[int, int]:
    """Return the device and the inode of an open folder."""
    status = os.stat(directory)
    return status.st_dev, status.st_ino
