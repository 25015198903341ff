"""Five times what the graph can do: it goes on doing what it can, and refuses the rest at once."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest
import yaml
from launched import Launched, running
from ledger import RIGHT, Ledger

from benchmarks.load import arrivals
from benchmarks.simulated import BATCH_ITEMS, config

BATCH_S = 0.4
CAPACITY = BATCH_ITEMS / BATCH_S
"""Answers in a second."""
AT_A_TIME = 16
LASTS_S = 20.0
REFUSED_WITHIN_S = 0.2
REFUSED = "503 overloaded"


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    path: Path = tmp_path_factory.mktemp("config") / "overloaded.yaml"
    path.write_text(yaml.safe_dump(config(1, BATCH_S, ingress={"max_requests": AT_A_TIME})))
    with running(path) as launched:
        yield launched


def ingress_mb(launched: Launched) -> float:
    (ingress,) = launched.replicas("Ingress")
    return float(ingress.memory_info().rss) / 1e6


async def arrive(client: httpx2.AsyncClient, ledger: Ledger, per_s: float, seconds: float) -> float:
    """Requests at a fixed rate, whatever becomes of them: seconds until the last is answered."""
    started = time.monotonic()
    await asyncio.gather(*[asyncio.create_task(ledger.ask(client)) async for _ in arrivals(per_s, seconds)])
    return time.monotonic() - started


async def test_at_five_times_its_capacity_the_graph_serves_its_capacity_and_refuses_the_rest_at_once(
    graph: Launched,
) -> None:
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=graph.url, timeout=None, limits=limits) as client:
        await arrive(client, Ledger(), CAPACITY, 3.0)
        before_mb = ingress_mb(graph)
        ledger, after = Ledger(made=10_000), Ledger(made=50_000)

        took_s = await arrive(client, ledger, 5 * CAPACITY, LASTS_S)
        after_mb = ingress_mb(graph)
        first = await client.post("/detect-language", content=after.recording(0.5))
        recovered = await after.ask(client)

    refused = np.array([seconds for end, seconds in ledger.ends if end == REFUSED])
    print(ledger.counts, f"{np.percentile(refused, [50, 95, 99])} s", f"{before_mb:.0f} -> {after_mb:.0f} MB")
    assert set(ledger.counts) == {RIGHT, REFUSED}
    assert ledger.counts[RIGHT] >= 0.9 * CAPACITY * took_s
    assert np.percentile(refused, 95) <= REFUSED_WITHIN_S
    assert after_mb - before_mb < 100
    assert first.status_code == 200
    assert (recovered, len(after.ends)) == (RIGHT, 1)
    assert after.longest_s(RIGHT) < 5 * BATCH_S
