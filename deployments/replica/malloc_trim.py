"""Periodic ``malloc_trim``, which returns freed memory to the system.

glibc keeps freed memory for later allocations; since recordings vary in length, the heap fragments and grows.
"""

import threading
import time
from functools import cache

from pipelines.heap import return_freed_memory

TRIM_INTERVAL_S = 10.0
"""An XLSR replica that answers a clip of a different length each second frees 4 MB/s."""


@cache
def start_malloc_trim_thread() -> None:
    """Start a daemon thread that trims the heap periodically; further calls do nothing."""
    threading.Thread(target=_trim_periodically, name="malloc-trim", daemon=True).start()


def _trim_periodically() -> None:
    while True:
        time.sleep(TRIM_INTERVAL_S)
        return_freed_memory()
