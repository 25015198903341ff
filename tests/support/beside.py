"""Runs attacks on a graph while a good client asks, and measures what its processes take."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from good_client import Asked, GoodClient
from launched import Launched
from slowness import measured_until_it_holds
from usage import DECODERS, Usage

MAX_GROWTH_MB = 300
"""Memory that a request of under 10 MB may add to any process."""
MAX_CPU_S = 5.0
"""Processor time that a request of under 10 MB may take."""
BESIDE_S = 2.5
"""Seconds for which an attack is repeated, so that the good client asks some twenty times beside it."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Alone:
    """What was measured before any attack."""

    idle_share: Mapping[str, float]
    """Processor time of each kind of process in a second of which nobody asks anything."""
    per_request_s: Mapping[str, float]
    """Processor time of a good client's request, besides that."""
    asked: Asked
    """By the good client, that of later moments without an attack included."""


class Beside:
    """Runs attacks beside a good client."""

    def __init__(self, name: str, service: Launched, good: GoodClient, alone: Alone) -> None:
        self._name, self._service, self._good, self._alone = name, service, good, alone

    def __call__(
        self, attack: Callable[[], Result], requests: int = 1, max_cpu_s: float = MAX_CPU_S
    ) -> list[Result]:
        """Attack again and again for `BESIDE_S`, while the good client must be served.

        Args:
            attack: What a hostile client does.
            requests: How many costly requests an attack has.
            max_cpu_s: Processor time that one may take in all processes; in those that decode, `MAX_CPU_S`.

        Returns:
            The result of each attack.
        """
        return measured_until_it_holds(lambda: self._measured(attack, requests, max_cpu_s))

    def _measured(
        self, attack: Callable[[], Result], requests: int, max_cpu_s: float
    ) -> tuple[list[Result], float, float]:
        """Return the results of attacks, and the good client's 95th percentile alone and beside them."""
        before = self._good.alone(0.7)
        assert before.failures == []
        self._alone.asked.latencies_s.extend(before.latencies_s)
        results = list[Result]()
        with Usage(self._service) as usage, self._good.asking() as asked:
            ends = time.monotonic() + BESIDE_S
            while not results or time.monotonic() < ends:
                results.append(attack())
        count = requests * len(results)
        cpu = Counter(usage.cpu_s)
        for kind in cpu:
            cpu[kind] -= self._alone.idle_share.get(kind, 0.0) * usage.wall_s
            cpu[kind] -= self._alone.per_request_s.get(kind, 0.0) * len(asked.latencies_s)
        alone_s = self._alone.asked.p95_s
        print(
            f"\n{self._name}: {count} requests in {usage.wall_s:.1f} s\n"
            f"  the good client: {alone_s * 1e3:.0f} ms alone, {asked.p95_s * 1e3:.0f} ms beside it, "
            f"{asked.p95_s / alone_s:.1f} times (p95 of {len(asked.latencies_s)})\n"
            f"  processor: {sum(cpu.values()) / count:.2f} s a request: "
            + ", ".join(f"{kind} {cpu_s / count:.2f}" for kind, cpu_s in cpu.most_common() if cpu_s > 0.05)
            + f"\n  memory:\n{usage.table()}"
        )
        assert asked.failures == []
        name, grown = usage.largest()
        assert grown.total < MAX_GROWTH_MB, f"{name}: {grown}"
        assert cpu[DECODERS] <= count * MAX_CPU_S, cpu
        assert sum(cpu.values()) <= count * max_cpu_s, cpu
        return results, alone_s, asked.p95_s
