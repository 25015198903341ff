"""Freed memory goes back to the system.

glibc keeps it for the next allocation; where sizes vary, as recordings do, that is in ever more pieces.
"""

import ctypes
import threading
import time
from functools import cache

EVERY_S = 10.0
"""An XLSR replica with a clip of another length each second frees four megabytes a second."""


@cache
def start_malloc_trim_thread() -> None:
    """Return what is free again and again, from a thread of this process; one is enough."""
    threading.Thread(target=_trim_periodically, name="malloc-trim", daemon=True).start()


def malloc_trim() -> None:
    """Return what is free: some ten milliseconds. Only glibc needs it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _trim_periodically() -> None:
    while True:
        time.sleep(EVERY_S)
        malloc_trim()
