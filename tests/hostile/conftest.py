"""A good client beside each hostile one, and what the processes of the graph take meanwhile."""

import time
from collections.abc import Iterator

import pytest
from beside import Alone, Beside
from good_client import GoodClient
from launched import Launched
from usage import Usage


@pytest.fixture(scope="module")
def good(service: Launched) -> Iterator[GoodClient]:
    """Return the good client."""
    client = GoodClient(service.url)
    yield client
    client.close()


@pytest.fixture(scope="module")
def alone(service: Launched, good: GoodClient) -> Alone:
    """Return what the graph takes when nobody attacks it."""
    good.alone(1.0)
    with Usage(service) as idle:
        time.sleep(3.0)
    idle_share = {kind: seconds / idle.wall_s for kind, seconds in idle.cpu_s.items()}
    with Usage(service) as usage:
        asked = good.alone(4.0)
    assert asked.failures == []
    per_request_s = {
        kind: (seconds - idle_share[kind] * usage.wall_s) / len(asked.latencies_s)
        for kind, seconds in usage.cpu_s.items()
    }
    return Alone(idle_share, per_request_s, asked)


@pytest.fixture
def beside(service: Launched, good: GoodClient, alone: Alone, request: pytest.FixtureRequest) -> Beside:
    """Return what runs an attack beside the good client."""
    return Beside(request.node.name, service, good, alone)
