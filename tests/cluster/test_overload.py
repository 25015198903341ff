"""Load shedding: at five times its capacity the graph serves its capacity and refuses the rest at once."""

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
from benchmarks.simulated import BATCH_ITEMS, PATH, config

BATCH_S = 0.4
CAPACITY = BATCH_ITEMS / BATCH_S
"""Answers per second."""
MAX_REQUESTS = 16
DURATION_S = 20.0
REFUSED_WITHIN_S = 0.2
REFUSED = "503 overloaded"


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    path: Path = tmp_path_factory.mktemp("config") / "overloaded.yaml"
    path.write_text(yaml.safe_dump(config(1, BATCH_S, ingress={"max_requests": MAX_REQUESTS})))
    with running(path) as launched:
        yield launched


def ingress_mb(launched: Launched) -> float:
    (ingress,) = launched.replicas("Ingress")
    return float(ingress.memory_info().rss) / 1e6


async def send_at_rate(client: httpx2.AsyncClient, ledger: Ledger, per_s: float, seconds: float) -> float:
    """Send requests at a fixed rate, independently of answers; return the seconds until the last answer."""
    started = time.monotonic()
    await asyncio.gather(*[asyncio.create_task(ledger.send(client)) async for _ in arrivals(per_s, seconds)])
    return time.monotonic() - started


async def test_an_overloaded_graph_serves_its_capacity_and_refuses_the_rest_at_once(
    graph: Launched,
) -> None:
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=graph.url, timeout=None, limits=limits) as client:
        await send_at_rate(client, Ledger(), CAPACITY, 3.0)
        before_mb = ingress_mb(graph)
        ledger, after = Ledger(seed=10_000), Ledger(seed=50_000)

        took_s = await send_at_rate(client, ledger, 5 * CAPACITY, DURATION_S)
        after_mb = ingress_mb(graph)
        first = await client.post(PATH, content=after.recording(0.5))
        recovered = await after.send(client)

    refused = np.array([seconds for end, seconds in ledger.outcomes if end == REFUSED])
    print(ledger.counts, f"{np.percentile(refused, [50, 95, 99])} s", f"{before_mb:.0f} -> {after_mb:.0f} MB")
    assert set(ledger.counts) == {RIGHT, REFUSED}
    assert ledger.counts[RIGHT] >= 0.9 * CAPACITY * took_s
    assert np.percentile(refused, 95) <= REFUSED_WITHIN_S
    assert after_mb - before_mb < 100
    assert first.status_code == 200
    assert (recovered, len(after.outcomes)) == (RIGHT, 1)
    assert after.longest_s(RIGHT) < 5 * BATCH_S
