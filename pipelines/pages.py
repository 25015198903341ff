"""Read arrays that are mapped from a file in memory without keeping their pages in this process.

A decoder process leaves a waveform in a file that the service maps (`pipelines.audio.workers`). Whatever a
process has read of it counts as its memory, up to 921 MB for four hours, until it gives the pages back; they
come again when they are read again.
"""

import ctypes
import logging
import mmap
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

PIECE_BYTES = 16 << 20
"""Bytes that are read before their pages are given back."""

_IN_MEMORY = ("/dev/shm/", "/memfd:")
"""Beginnings of the names of files in memory in ``/proc/self/maps``."""
_madvise = ctypes.CDLL(None).madvise

Array = npt.NDArray[Any]
log = logging.getLogger(__name__)


def pieces(array: Array) -> Iterator[Array]:
    """Yield consecutive parts of a one-dimensional array; give back the pages of each once it was read."""
    items = PIECE_BYTES // array.itemsize
    for start in range(0, len(array), items):
        yield array[start : start + items]
        if len(array) > items:
            give_back(array)


def give_back(array: Array) -> None:
    """Give back the pages of the file from which an array, or what it is a view of, is mapped, if it is."""
    mapping = mapping_of(array)
    if mapping is not None:
        mapping.madvise(mmap.MADV_DONTNEED)


def give_back_shared() -> None:
    """Give back the pages of all files in memory: those of waveforms, and those of Ray's object store.

    The files keep what was written to them. Does nothing where there is no ``/proc``.
    """
    if sys.platform != "linux":
        return
    for start, end in _regions():
        if _madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED):
            log.warning("A file in memory of %d bytes stays in this process", end - start)


def shared_bytes() -> int:
    """Return the bytes of files in memory that are in this process; 0 where the kernel does not say."""
    with open("/proc/self/status", "rb") as file:
        _, found, rest = file.read().partition(b"RssShmem:")
    return int(rest.split()[0]) * 1024 if found else 0


def _regions() -> Iterator[tuple[int, int]]:
    """Yield start and end of each large region of a file in memory without pages of this process alone."""
    with open("/proc/self/maps") as file:
        for line in file:
            bounds, rights, _, _, _, *name = line.split(maxsplit=5)
            start, end = (int(bound, 16) for bound in bounds.split("-"))
            is_of_file = rights[3] == "s" or rights[:2] == "r-"
            if is_of_file and end - start >= PIECE_BYTES and name and name[0].startswith(_IN_MEMORY):
                yield start, end


def mapping_of(array: Array) -> mmap.mmap | None:
    """Return the mapping of a file that holds the array's items, or None."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj
    return base if isinstance(base, mmap.mmap) else None
