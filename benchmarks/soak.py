"""Half of what the demo graph can do, for an hour: ``python -m benchmarks.soak``.

Its capacity on a mix of questions is measured first. Then requests arrive at a steady share of it, whatever
becomes of those before them, and a row is printed every few minutes: what must not grow is memory and time.
"""

import argparse
import asyncio
import itertools
import time
from collections.abc import Iterator

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
TITLES = ["minutes", "requests", "errors", "p50 s", "p99 s", "MB in all", "largest MB each"]


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


def memory(server: Server) -> list[str]:
    """Of all processes, and of the kinds that have most of it."""
    found = sorted(server.memory_mb().items(), key=lambda item: -item[1][1])
    total = sum(mb for _, (_, mb) in found)
    return [f"{total:.0f}", ", ".join(f"{name} {mb / count:.0f}" for name, (count, mb) in found[:6])]


def soak(server: Server, share: float, minutes: float, every: float) -> tuple[float, list[list[str]]]:
    """The rate, and a row for each stretch of minutes."""
    asks = itertools.cycle(MIX)
    per_s = share * closed_loop(server.url, list(itertools.islice(asks, CALIBRATION)), CONCURRENCY).per_s
    rows = []
    for number in range(round(minutes / every)):
        row = asyncio.run(steadily(server.url, asks, per_s, 60 * every))
        rows.append([f"{every * (number + 1):g}", *row, *memory(server)])
        print("\t".join(rows[-1]), flush=True)
    return per_s, rows


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
        per_s, rows = soak(graph, options.share, options.minutes, options.every)
    load = f"{per_s:.2f} requests a second, {options.share:g} of the capacity"
    said = f"{cpu_name()}; {DEMO_CONFIG.name}; {load}."
    publish("Soak", f"{said}\n\n{table(TITLES, rows)}", write=options.write)


if __name__ == "__main__":
    main()
