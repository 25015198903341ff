"""A good client beside each hostile one, and what the processes of the graph take meanwhile."""

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx2
import psutil
import pytest
from launched import Launched
from recordings import new_wav

MAX_GROWTH_MB = 300
"""Memory that a request of under 10 MB may add to any process."""
SLOWER = 3.0
"""How much slower the good client may become, in the 95th percentile."""
FLOOR_S = 1.0
"""Latency below which nobody minds: a 95th percentile of few requests on a busy machine is no better."""
PAUSE_S = 0.2
SAMPLE_S = 0.1


@dataclass
class GoodClient:
    """Asks about a new short recording again and again, and counts what it gets."""

    url: str
    latencies_s: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _next: int = 0

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Ask in a thread during the block."""
        self.latencies_s, self.failures = [], []
        ends = threading.Event()
        thread = threading.Thread(target=self._ask_until, args=(ends,))
        thread.start()
        try:
            yield
        finally:
            ends.set()
            thread.join()

    def _ask_until(self, ends: threading.Event) -> None:
        with httpx2.Client(base_url=self.url, timeout=60) as client:
            while True:
                self._next += 1
                started = time.monotonic()
                try:
                    response = client.post("/detect-language", content=new_wav(self._next, 1.0))
                except httpx2.HTTPError as error:
                    self.failures.append(repr(error))
                else:
                    if response.status_code != 200:
                        self.failures.append(response.text)
                self.latencies_s.append(time.monotonic() - started)
                if ends.wait(PAUSE_S):
                    return

    @property
    def p95_s(self) -> float:
        ordered = sorted(self.latencies_s)
        return ordered[math.ceil(0.95 * len(ordered)) - 1]


class Memory:
    """The largest growth of each process of the graph during a block, in MB."""

    def __init__(self, service: Launched) -> None:
        self._processes = service.processes()
        self._before = {process.pid: _rss(process) for process in self._processes}
        self.growth_mb: dict[int, float] = {}
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            for process in self._processes:
                grown = _rss(process) - self._before[process.pid]
                self.growth_mb[process.pid] = max(self.growth_mb.get(process.pid, 0.0), grown)
            if self._ends.wait(SAMPLE_S):
                return


def _rss(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.NoSuchProcess):
        return float(process.memory_info().rss) / 1e6
    return 0.0


Beside = Callable[..., contextlib.AbstractContextManager[None]]


@pytest.fixture(scope="module")
def good(service: Launched) -> GoodClient:
    """Return the good client, which has learned how fast the graph is when nobody attacks it."""
    client = GoodClient(service.url)
    with client.asking():
        time.sleep(1.0)
    return client


@pytest.fixture
def beside(service: Launched, good: GoodClient) -> Beside:
    """Return a context in which a hostile client may do what it wants, while the good one must be served."""

    @contextlib.contextmanager
    def watched(floor_s: float = FLOOR_S, at_once: int = 1) -> Iterator[None]:
        with good.asking():
            time.sleep(2.0)
        assert good.failures == []
        undisturbed_s = good.p95_s
        with Memory(service) as memory, good.asking():
            yield
        assert good.failures == []
        assert good.p95_s <= max(SLOWER * undisturbed_s, floor_s), (good.p95_s, undisturbed_s)
        assert max(memory.growth_mb.values()) < at_once * MAX_GROWTH_MB, memory.growth_mb

    return watched
