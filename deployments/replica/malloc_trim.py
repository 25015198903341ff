"""Periodic ``malloc_trim``, which returns freed memory to the system.

glibc keeps freed memory for later allocations; since recordings vary in length, the heap fragments and grows.
"""

import ctypes
import threading
import time
from functools import cache

TRIM_INTERVAL_S = 10.0
"""An XLSR replica that answers a clip of a different length each second frees 4 MB/s."""


@cache
def start_malloc_trim_thread() -> None:
    """Start a daemon thread that trims the heap periodically; further calls do nothing."""
    threading.Thread(target=_trim_periodically, name="malloc-trim", daemon=True).start()


def malloc_trim() -> None:
    """Return freed memory to the system, in about 10 ms; do nothing where libc has no ``malloc_trim``."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _trim_periodically() -> None:
    while True:
        time.sleep(TRIM_INTERVAL_S)
        malloc_trim()
