"""The memory that glibc has freed: whether it is kept for later allocations or returned to the system."""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_libc = ctypes.CDLL(None)


def keep_freed_memory(largest_bytes: int) -> None:
    """Keep the memory of freed blocks of up to so many bytes for later ones.

    Of what is free at the end of the heap, four times as much is kept. Larger blocks come from
    the system and return to it. Does nothing where libc has no ``mallopt``.
    """
    if hasattr(_libc, "mallopt"):
        _libc.mallopt(_M_MMAP_THRESHOLD, largest_bytes)
        _libc.mallopt(_M_TRIM_THRESHOLD, 4 * largest_bytes)


def return_freed_memory() -> None:
    """Return freed memory to the system, in about 10 ms; do nothing where libc has no ``malloc_trim``."""
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)
