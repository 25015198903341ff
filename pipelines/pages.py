"""Read arrays that are mapped from a file in memory without keeping their pages in this process.

A decoder process leaves a waveform in a file that the service maps (`pipelines.audio.workers`). Whatever a
process has read of it counts as its memory, up to 921 MB for four hours, until it gives the pages back; they
come again when they are read again.
"""

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

PIECE_BYTES = 16 << 20
"""Bytes that are read before their pages are given back."""

Array = npt.NDArray[Any]


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


def mapping_of(array: Array) -> mmap.mmap | None:
    """Return the mapping of a file that holds the array's items, or None."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj
    return base if isinstance(base, mmap.mmap) else None
