"""Deletes old files inside one folder, and nothing outside it."""

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from voxgraph.graph import CleanupStats, FolderInfo


class Janitor:
    """Cleans one folder; with None there is nothing to clean.

    Directories are opened without following links and files are named relative to them, so a link inside the
    folder, or in place of the folder, is never followed. A link itself is deleted like a file.
    """

    def __init__(self, folder: Path | None) -> None:
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
                top = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            yield top
        finally:
            if top is not None:
                os.close(top)


def _files(top: int) -> Iterator[tuple[int, str, os.stat_result]]:
    """Yield every file and link below a directory: descriptor of its parent, name and stat result."""
    for _, _, names, directory in os.fwalk(".", dir_fd=top, follow_symlinks=False):
        for name in names:
            with suppress(OSError):
                found = os.stat(name, dir_fd=directory, follow_symlinks=False)
                if stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode):
                    yield directory, name, found
