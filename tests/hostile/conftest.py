"""A good client beside each hostile one, and what the processes of the graph take meanwhile."""

import contextlib
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import httpx2
import pytest
from launched import Launched
from recordings import new_wav
from slowness import most_s
from usage import DECODERS, Usage

MAX_GROWTH_MB = 300
"""Memory that a request of under 10 MB may add to any process."""
MAX_CPU_S = 5.0
"""Processor time that a request of under 10 MB may take."""
PAUSE_S = 0.2


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


Beside = Callable[..., contextlib.AbstractContextManager[None]]


@pytest.fixture(scope="module")
def good(service: Launched) -> GoodClient:
    """Return the good client, which has learned how fast the graph is when nobody attacks it."""
    client = GoodClient(service.url)
    with client.asking():
        time.sleep(1.0)
    return client


@pytest.fixture(scope="module")
def idle_share(service: Launched, good: GoodClient) -> Mapping[str, float]:
    """Return the processor time that each kind of process takes in a second of which nobody asks anything."""
    with Usage(service) as usage:
        time.sleep(3.0)
    return {kind: seconds / usage.wall_s for kind, seconds in usage.cpu_s.items()}


@pytest.fixture
def beside(
    service: Launched, good: GoodClient, idle_share: Mapping[str, float], request: pytest.FixtureRequest
) -> Beside:
    """Return a context in which a hostile client may do what it wants, while the good one must be served."""

    def taken(usage: Usage, per_good_request: Mapping[str, float] | None = None) -> Counter[str]:
        """Return the processor time besides that of an idle graph, and of the good client's requests."""
        found = Counter(
            {kind: cpu_s - idle_share.get(kind, 0.0) * usage.wall_s for kind, cpu_s in usage.cpu_s.items()}
        )
        if per_good_request is not None:
            for kind, cpu_s in per_good_request.items():
                found[kind] -= cpu_s * len(good.latencies_s)
        return found

    @contextlib.contextmanager
    def watched(requests: int = 1, max_cpu_s: float = MAX_CPU_S) -> Iterator[None]:
        with Usage(service) as before, good.asking():
            time.sleep(2.0)
        assert good.failures == []
        undisturbed_s = good.p95_s
        per_good_request = {kind: cpu_s / len(good.latencies_s) for kind, cpu_s in taken(before).items()}
        with Usage(service) as usage, good.asking():
            yield
        cpu = taken(usage, per_good_request)
        print(
            f"\n{request.node.name}: {requests} requests in {usage.wall_s:.1f} s\n"
            f"  the good client: {undisturbed_s * 1e3:.0f} ms alone, {good.p95_s * 1e3:.0f} ms beside it "
            f"(p95 of {len(good.latencies_s)}), {sum(per_good_request.values()) * 1e3:.0f} ms each\n"
            f"  processor: {sum(cpu.values()) / requests:.2f} s a request: "
            + ", ".join(f"{kind} {cpu_s / requests:.2f}" for kind, cpu_s in cpu.most_common() if cpu_s > 0.05)
            + f"\n  memory:\n{usage.table()}"
        )
        assert good.failures == []
        assert good.p95_s <= most_s(undisturbed_s), (good.p95_s, undisturbed_s)
        name, grown = usage.largest()
        assert grown.total < MAX_GROWTH_MB, f"{name}: {grown}"
        assert cpu[DECODERS] <= requests * MAX_CPU_S, cpu
        assert sum(cpu.values()) <= requests * max_cpu_s, cpu

    return watched
