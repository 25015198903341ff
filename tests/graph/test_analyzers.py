"""The contract of analyzers, for the handles of the running graph and for its HTTP client."""

from collections.abc import AsyncIterator, Iterator
from typing import cast

import pytest
from analyzer_contract import CHECKS, Check, ClientAnalyzer
from launched import Launched
from recordings import samples

from voxgraph import AsyncClient
from voxgraph.analyzer import Analyzer
from voxgraph.handles import AsyncVoxgraph


@pytest.fixture(scope="module")
def driver(service: Launched) -> Iterator[None]:
    with service.driver():
        yield


@pytest.fixture(params=["handles", "client"])
async def analyzer(
    request: pytest.FixtureRequest, service: Launched, driver: None
) -> AsyncIterator[Analyzer]:
    if request.param == "handles":
        yield cast("Analyzer", AsyncVoxgraph.connect())
        return
    async with AsyncClient(service.url) as client:
        yield cast("Analyzer", ClientAnalyzer(client))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_the_graph_keeps_the_contract(analyzer: Analyzer, check: Check) -> None:
    await check(analyzer, samples("voice.wav"))
