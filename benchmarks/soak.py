"""Run the graph of `make serve` at half its capacity for an hour: ``python -m benchmarks.soak``.

Measures the capacity on a mix of requests first. Requests then arrive at a fixed share of it, independently
of earlier answers. Each interval of a few minutes is a row: neither memory nor latency may grow. After each
interval a fixed computation is timed in this process, since a shared machine has slower hours. A second table
shows the memory of each kind of process early, midway and at the end.
"""

import argparse
import asyncio
import itertools
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import numpy as np

from benchmarks.load import RequestKind, arrivals, closed_loop, post
from benchmarks.report import cpu_name, table
from benchmarks.results import WRITE_HELP, publish
from benchmarks.servers import BUILD, STARTER_CONFIG, Server, graph_server, running

MIX = (
    *(RequestKind("/extract-embedding", 3.0, 1.0),) * 4,
    *(RequestKind("/detect-language", 3.0, 1.0),) * 2,
    RequestKind("/identify", 4.0, 1.0),
    RequestKind("/audio/analyze-audio", 12.0, 2.0),
    RequestKind("/diarize", 15.0, 4.0),
)
CALIBRATION, CONCURRENCY = 90, 8
MATMULS, SIDE = 30, 1024
TITLES = ["minutes", "requests", "errors", "p50 s", "p99 s", "cores", "machine ms", "MB in all"]
KIND_TITLES = ["processes", "how many"]


async def send_at_rate(url: str, kinds: Iterator[RequestKind], per_s: float, seconds: float) -> list[str]:
    """Send requests at a fixed rate; return the number sent and failed, and p50 and p99 of their seconds."""
    latencies: list[float] = []
    errors = 0

    async def send(client: httpx2.AsyncClient, kind: RequestKind) -> None:
        nonlocal errors
        body = kind.body()
        sent = time.perf_counter()
        try:
            response = await post(client, kind, body)
            errors += response.status_code != 200
        except httpx2.HTTPError:
            errors += 1
        latencies.append(time.perf_counter() - sent)

    limits = httpx2.Limits(max_connections=None)
    async with (
        httpx2.AsyncClient(base_url=url, timeout=None, limits=limits) as client,
        asyncio.TaskGroup() as tasks,
    ):
        async for _ in arrivals(per_s, seconds):
            tasks.create_task(send(client, next(kinds)))
    p50, p99 = np.percentile(latencies, [50, 99])
    return [str(len(latencies)), str(errors), f"{p50:.3f}", f"{p99:.3f}"]


def machine_ms() -> float:
    """Return the median milliseconds of a product of two float32 matrices, to track the machine's speed."""
    factor = np.random.default_rng(0).standard_normal((SIDE, SIDE), dtype=np.float32)
    took = []
    for _ in range(MATMULS):
        started = time.perf_counter()
        factor @ factor
        took.append(time.perf_counter() - started)
    return 1000 * statistics.median(took)


@dataclass
class SoakResult:
    """A row and the processes' memory (number, total MB) for each interval."""

    rows: list[list[str]]
    memories: list[dict[str, tuple[int, float]]]

    def kinds(self) -> tuple[list[str], list[list[str]]]:
        """Return titles and rows of the memory table: MB by kind of process early, midway and at the end."""
        last = len(self.memories) - 1
        columns = sorted({min(2, last), last // 2, last})
        titles = [*KIND_TITLES, *(f"MB at {self.rows[column][0]}" for column in columns)]
        nothing = (0, 0.0)
        found = sorted(self.memories[-1].items(), key=lambda item: -item[1][1])
        return titles, [
            [kind, str(count), *(f"{self.memories[column].get(kind, nothing)[1]:.0f}" for column in columns)]
            for kind, (count, _) in found
        ]


def soak(server: Server, share: float, minutes: float, every: float) -> tuple[float, SoakResult]:
    """Return the rate, in requests per second, and the results of each interval of `every` minutes."""
    kinds = itertools.cycle(MIX)
    per_s = share * closed_loop(server.url, list(itertools.islice(kinds, CALIBRATION)), CONCURRENCY).per_s
    seen = SoakResult([], [])
    for number in range(round(minutes / every)):
        before, started = sum(server.cpu_s().values()), time.perf_counter()
        row = asyncio.run(send_at_rate(server.url, kinds, per_s, 60 * every))
        cores = (sum(server.cpu_s().values()) - before) / (time.perf_counter() - started)
        seen.memories.append(server.memory_mb())
        total = sum(mb for _, mb in seen.memories[-1].values())
        row = [f"{every * (number + 1):g}", *row, f"{cores:.2f}", f"{machine_ms():.1f}", f"{total:.0f}"]
        seen.rows.append(row)
        print("\t".join(row), flush=True)
    return per_s, seen


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=5.0, help="minutes per row")
    parser.add_argument("--share", type=float, default=0.5, help="share of the capacity")
    parser.add_argument("--write", action="store_true", help=WRITE_HELP)
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    graph = graph_server(STARTER_CONFIG, BUILD)
    with running(graph):
        per_s, seen = soak(graph, options.share, options.minutes, options.every)
    load = f"{per_s:.2f} requests per second, {options.share:g} of the capacity"
    summary = f"{cpu_name()}; {STARTER_CONFIG.name}; {load}."
    text = f"{summary}\n\n{table(TITLES, seen.rows)}\n\n{table(*seen.kinds())}"
    publish("Soak", text, write=options.write)


if __name__ == "__main__":
    main()
