"""An hour of audio is answered whole, and no process holds more than 1 GB for it beyond its model."""

import threading
import time

import httpx2
import numpy as np
import psutil
import pytest
from launched import Launched
from recordings import encoded, post, samples

HOUR_S = 3_600
LIMIT_BYTES = 1_000_000_000


class Peaks(threading.Thread):
    """The most memory that each process of a service had of its own, looked at again and again."""

    def __init__(self, service: Launched) -> None:
        super().__init__(daemon=True)
        self.processes = service.processes()
        self.before = {process.pid: self._own(process) for process in self.processes}
        self.most = dict(self.before)
        self.ended = threading.Event()

    @staticmethod
    def _own(process: psutil.Process) -> int:
        try:
            return int(process.memory_full_info().uss)
        except psutil.Error:
            return 0

    def run(self) -> None:
        while not self.ended.wait(0.05):
            for process in self.processes:
                self.most[process.pid] = max(self.most[process.pid], self._own(process))

    def growth(self) -> int:
        self.ended.set()
        self.join()
        return max(self.most[pid] - self.before[pid] for pid in self.most)


@pytest.fixture(scope="module")
def hour() -> bytes:
    """English again and again, with its loudness changed so that no two parts are the same."""
    clip = samples("accent_us_m3.flac")
    repeats = HOUR_S * 16_000 // len(clip) + 1
    loudness = np.linspace(0.5, 1.0, repeats, dtype=np.float32)
    return encoded(np.concatenate([level * clip for level in loudness])[: HOUR_S * 16_000], "FLAC", None)


@pytest.mark.parametrize("path", ["/embedding", "/detect-language", "/classify-us-accent"])
def test_an_hour(service: Launched, http: httpx2.Client, hour: bytes, path: str) -> None:
    peaks = Peaks(service)
    peaks.start()
    time.sleep(0.1)

    answer = post(http, path, files={"file": ("hour.flac", hour)}, timeout=250)

    assert peaks.growth() < LIMIT_BYTES
    if path == "/embedding":
        assert answer["audio_duration"] == HOUR_S
    if path == "/detect-language":
        assert answer["language"] == "en"
