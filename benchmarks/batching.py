"""Replay arrivals against a model that gains from batches: ``python -m benchmarks.batching``.

The model sleeps 150 ms and 10 ms for each item. It is asked through the batcher of the replicas, and through
the same batcher kept to one item at a time.
"""

import argparse
import asyncio
import time

import numpy as np

from benchmarks.report import table
from benchmarks.results import WRITE_HELP, publish
from config.settings import BatchTunables
from deployments.replica.batcher import Batcher, BatcherStats

BATCH_S = 0.150
ITEM_S = 0.010
REQUESTS = 60
CLIP_S = 1.0
TITLES = ["apart ms", "way", "p50 s", "p99 s", "batches", "largest"]
WAYS = {"batched": BatchTunables(), "one by one": BatchTunables(max_batch_items=1)}


async def replay(
    tunables: BatchTunables, spacing_s: float, requests: int
) -> tuple[list[float], BatcherStats]:
    """Seconds from each arrival to its answer, and what the batcher did.

    Args:
        tunables: Of the batcher.
        spacing_s: Between two arrivals.
        requests: How many arrive.
    """

    def model(items: list[int]) -> list[int]:
        time.sleep(BATCH_S + ITEM_S * len(items))
        return items

    batcher = Batcher(model, lambda _: CLIP_S, tunables)
    started = time.perf_counter()

    async def one(index: int) -> float:
        await asyncio.sleep(started + index * spacing_s - time.perf_counter())
        arrived = time.perf_counter()
        await batcher.submit(index)
        return time.perf_counter() - arrived

    seconds = await asyncio.gather(*(one(index) for index in range(requests)))
    stats = batcher.stats()
    await batcher.close()
    return seconds, stats


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batching", description=__doc__)
    parser.add_argument("--spacing-ms", type=float, nargs="+", default=[5, 10, 25, 50, 100, 170, 250])
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--write", action="store_true", help=WRITE_HELP)
    options = parser.parse_args()
    rows = []
    for spacing_ms in options.spacing_ms:
        for way, tunables in WAYS.items():
            seconds, stats = asyncio.run(replay(tunables, spacing_ms / 1e3, options.requests))
            p50, p99 = np.percentile(seconds, [50, 99])
            cells = f"{p50:.2f}", f"{p99:.2f}", str(stats.batches), str(stats.largest)
            rows.append([f"{spacing_ms:g}", way, *cells])
    said = (
        f"{options.requests} requests; a batch takes {BATCH_S:g} s and {ITEM_S:g} s for each that is in it."
    )
    publish("Replayed arrivals", f"{said}\n\n{table(TITLES, rows)}", write=options.write)


if __name__ == "__main__":
    main()
