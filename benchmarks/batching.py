"""Replay arrivals against a model that gains from batches: ``python -m benchmarks.batching``.

The model sleeps 150 ms per batch plus 10 ms per item. Each arrival pattern runs through the batcher of the
replicas, and through the same batcher limited to one item per batch.
"""

import argparse
import asyncio
import time

import numpy as np

from benchmarks.report import table
from benchmarks.results import WRITE_HELP, publish
from config.settings import BatchTunables
from deployments.replica.batcher import Batcher, BatchReport

BATCH_S = 0.150
ITEM_S = 0.010
REQUESTS = 60
CLIP_S = 1.0
TITLES = ["spacing ms", "mode", "p50 s", "p99 s", "batches", "largest"]
MODES = {"batched": BatchTunables(), "one by one": BatchTunables(max_batch_items=1)}


async def replay(
    tunables: BatchTunables, spacing_s: float, requests: int
) -> tuple[list[float], list[BatchReport]]:
    """Replay arrivals; return the seconds from each arrival to its answer, and a report of each batch.

    Args:
        tunables: Settings of the batcher.
        spacing_s: Seconds between two arrivals.
        requests: Number of arrivals.
    """

    def model(items: list[int]) -> list[int]:
        time.sleep(BATCH_S + ITEM_S * len(items))
        return items

    batches: list[BatchReport] = []
    batcher = Batcher(model, lambda _: CLIP_S, tunables, on_batch=batches.append)
    started = time.perf_counter()

    async def arrive(index: int) -> float:
        await asyncio.sleep(started + index * spacing_s - time.perf_counter())
        arrived = time.perf_counter()
        await batcher.submit(index)
        return time.perf_counter() - arrived

    seconds = await asyncio.gather(*(arrive(index) for index in range(requests)))
    await batcher.close()
    return seconds, batches


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batching", description=__doc__)
    parser.add_argument("--spacing-ms", type=float, nargs="+", default=[5, 10, 25, 50, 100, 170, 250])
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--write", action="store_true", help=WRITE_HELP)
    options = parser.parse_args()
    rows = []
    for spacing_ms in options.spacing_ms:
        for mode, tunables in MODES.items():
            seconds, batches = asyncio.run(replay(tunables, spacing_ms / 1e3, options.requests))
            p50, p99 = np.percentile(seconds, [50, 99])
            cells = f"{p50:.2f}", f"{p99:.2f}", str(len(batches)), str(max(batch.items for batch in batches))
            rows.append([f"{spacing_ms:g}", mode, *cells])
    summary = f"{options.requests} requests; a batch takes {BATCH_S:g} s plus {ITEM_S:g} s per item."
    publish("Replayed arrivals", f"{summary}\n\n{table(TITLES, rows)}", write=options.write)


if __name__ == "__main__":
    main()
