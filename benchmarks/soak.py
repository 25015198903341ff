"""Half of what the demo graph can do, for an hour: ``python -m benchmarks.soak``.

Its capacity on a mix of questions is measured first. Then requests arrive at a steady share of it, whatever
becomes of those before them, and a row is printed every few minutes: what must not grow is memory and time.
After each stretch a fixed computation is timed in this process: a machine that is shared has slower hours. A
second table says what each kind of process has, early, midway and in the end.
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

from benchmarks.load import Ask, arrivals, closed_loop, post
from benchmarks.report import cpu_name, table
from benchmarks.results import WRITE_HELP, publish
from benchmarks.servers import BUILD, DEMO_CONFIG, Server, graph_server, running

MIX = (
    *(Ask("/extract-embedding", 3.0, 1.0),) * 4,
    *(Ask("/detect-language", 3.0, 1.0),) * 2,
    Ask("/identify", 4.0, 1.0),
    Ask("/audio/analyze-audio", 12.0, 2.0),
    Ask("/diarize", 15.0, 4.0),
)
CALIBRATION, CONCURRENCY = 90, 8
MATMULS, SIDE = 30, 1024
TITLES = ["minutes", "requests", "errors", "p50 s", "p99 s", "cores", "machine ms", "MB in all"]
KIND_TITLES = ["processes", "how many"]


async def steadily(url: str, asks: Iterator[Ask], per_s: float, seconds: float) -> list[str]:
    """Requests at a rate for some time: how many, how many failed, and the seconds that they took."""
    latencies: list[float] = []
    errors = 0

    async def send(client: httpx2.AsyncClient, ask: Ask) -> None:
        nonlocal errors
        body = ask.body()
        sent = time.perf_counter()
        try:
            response = await post(client, ask, body)
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
            tasks.create_task(send(client, next(asks)))
    p50, p99 = np.percentile(latencies, [50, 99])
    return [str(len(latencies)), str(errors), f"{p50:.3f}", f"{p99:.3f}"]


def machine_ms() -> float:
    """Milliseconds of a product of two float32 matrices: how fast the machine is now, whoever else has it."""
    factor = np.random.default_rng(0).standard_normal((SIDE, SIDE), dtype=np.float32)
    took = []
    for _ in range(MATMULS):
        began = time.perf_counter()
        factor @ factor
        took.append(time.perf_counter() - began)
    return 1000 * statistics.median(took)


@dataclass
class Soaked:
    """What was seen: a row and the processes' memory (how many, MB in all) for each stretch."""

    rows: list[list[str]]
    memories: list[dict[str, tuple[int, float]]]

    def kinds(self) -> tuple[list[str], list[list[str]]]:
        """Titles and rows of the kinds of process: their MB in the beginning, midway and in the end."""
        last = len(self.memories) - 1
        columns = sorted({min(2, last), last // 2, last})
        titles = [*KIND_TITLES, *(f"MB at {self.rows[column][0]}" for column in columns)]
        nothing = (0, 0.0)
        found = sorted(self.memories[-1].items(), key=lambda item: -item[1][1])
        return titles, [
            [kind, str(count), *(f"{self.memories[column].get(kind, nothing)[1]:.0f}" for column in columns)]
            for kind, (count, _) in found
        ]


def soak(server: Server, share: float, minutes: float, every: float) -> tuple[float, Soaked]:
    """The rate, and what was seen in each stretch of minutes."""
    asks = itertools.cycle(MIX)
    per_s = share * closed_loop(server.url, list(itertools.islice(asks, CALIBRATION)), CONCURRENCY).per_s
    seen = Soaked([], [])
    for number in range(round(minutes / every)):
        before, began = sum(server.cpu_s().values()), time.perf_counter()
        row = asyncio.run(steadily(server.url, asks, per_s, 60 * every))
        cores = (sum(server.cpu_s().values()) - before) / (time.perf_counter() - began)
        seen.memories.append(server.memory_mb())
        total = sum(mb for _, mb in seen.memories[-1].values())
        row = [f"{every * (number + 1):g}", *row, f"{cores:.2f}", f"{machine_ms():.1f}", f"{total:.0f}"]
        seen.rows.append(row)
        print("\t".join(row), flush=True)
    return per_s, seen


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=5.0, help="minutes of a row")
    parser.add_argument("--share", type=float, default=0.5, help="of the capacity")
    parser.add_argument("--write", action="store_true", help=WRITE_HELP)
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    graph = graph_server(DEMO_CONFIG, BUILD)
    with running(graph):
        per_s, seen = soak(graph, options.share, options.minutes, options.every)
    load = f"{per_s:.2f} requests a second, {options.share:g} of the capacity"
    said = f"{cpu_name()}; {DEMO_CONFIG.name}; {load}."
    text = f"{said}\n\n{table(TITLES, seen.rows)}\n\n{table(*seen.kinds())}"
    publish("Soak", text, write=options.write)


if __name__ == "__main__":
    main()
