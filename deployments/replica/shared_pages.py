"""Keep waveforms and the object store, which are files in memory, from filling the memory of their readers.

What a process has read or written of such a file counts as its memory as well, until it gives the pages back.
The file keeps them, and they come again when they are read again.
"""

import sys
import threading
import time
from functools import cache

from pipelines.pages import give_back_shared, shared_bytes

INTERVAL_S = 0.1
"""Seconds between two looks, which take 0.1 ms each."""
MAX_BYTES = 64 << 20
"""Shared bytes in this process from which on they are given back: the 16-bit samples of half an hour."""


@cache
def start_shared_pages_thread() -> None:
    """Start a daemon thread that gives back shared pages if they are many; further calls do nothing."""
    if sys.platform == "linux":
        threading.Thread(target=_give_back_for_ever, name="shared-pages", daemon=True).start()


def _give_back_for_ever() -> None:
    while True:
        time.sleep(INTERVAL_S)
        if shared_bytes() > MAX_BYTES:
            give_back_shared()
