"""An hour of audio is processed as a whole, and no process needs more than 1 GB for it beyond its model."""

import threading
import time

import httpx2
import numpy as np
import psutil
import pytest
from launched import Launched
from recordings import encode, post, samples

HOUR_S = 3_600
LIMIT_BYTES = 1_000_000_000


class MemoryMonitor(threading.Thread):
    """Polls the peak private memory (USS) of each process of a service."""

    def __init__(self, service: Launched) -> None:
        super().__init__(daemon=True)
        self.processes = service.processes()
        self.before = {process.pid: self._uss(process) for process in self.processes}
        self.peaks = dict(self.before)
        self.stopped = threading.Event()

    @staticmethod
    def _uss(process: psutil.Process) -> int:
        try:
            return int(process.memory_full_info().uss)
        except psutil.Error:
            return 0

    def run(self) -> None:
        while not self.stopped.wait(0.05):
            for process in self.processes:
                self.peaks[process.pid] = max(self.peaks[process.pid], self._uss(process))

    def growth(self) -> int:
        """Stop, and return the largest growth of a process in bytes."""
        self.stopped.set()
        self.join()
        return max(self.peaks[pid] - self.before[pid] for pid in self.peaks)


@pytest.fixture(scope="module")
def hour() -> bytes:
    """Return an hour of repeated English speech, whose level changes so that no two parts are the same."""
    clip = samples("accent_us_m3.flac")
    repeats = HOUR_S * 16_000 // len(clip) + 1
    levels = np.linspace(0.5, 1.0, repeats, dtype=np.float32)
    return encode(np.concatenate([level * clip for level in levels])[: HOUR_S * 16_000], "FLAC", None)


@pytest.mark.parametrize("path", ["/embedding", "/detect-language", "/classify-us-accent"])
def test_an_hour_in_bounded_memory(service: Launched, http: httpx2.Client, hour: bytes, path: str) -> None:
    monitor = MemoryMonitor(service)
    monitor.start()
    time.sleep(0.1)

    answer = post(http, path, files={"file": ("hour.flac", hour)}, timeout=250)

    assert monitor.growth() < LIMIT_BYTES
    if path == "/embedding":
        assert answer["audio_duration"] == HOUR_S
    if path == "/detect-language":
        assert answer["language"] == "en"
