"""The contract of analyzers, for those without a cluster; `tests/graph/test_analyzers.py` has the others."""

from collections.abc import AsyncIterator
from typing import cast

import httpx2
import pytest
from analyzer_contract import CHECKS, Check, ClientAnalyzer
from fake_analyzer import FakeAnalyzer
from recordings import samples
from small_checkpoints import small_graph

from config.settings import GraphSettings
from deployments.api.app import create_app
from deployments.local import LocalAnalyzer
from pipelines.speech_windows import speech_seconds
from voxgraph import AsyncClient, ModelKey
from voxgraph.analyzer import Analyzer
from voxgraph.results import shortness

SMALL = GraphSettings.model_validate(small_graph()["applications"][0]["args"])


def fake() -> FakeAnalyzer:
    analyzer = FakeAnalyzer()
    analyzer.unavailable = {ModelKey.DIARIZATION_31}
    return analyzer


@pytest.fixture(scope="module")
def local() -> LocalAnalyzer:
    return LocalAnalyzer(SMALL)


@pytest.fixture(params=["fake", "client of the application", "local"])
async def analyzer(request: pytest.FixtureRequest, local: LocalAnalyzer) -> AsyncIterator[Analyzer]:
    if request.param == "fake":
        yield cast("Analyzer", fake())
    elif request.param == "local":
        yield local
    else:
        transport = httpx2.ASGITransport(create_app(fake(), GraphSettings()))
        async with AsyncClient("http://voxgraph", transport=transport) as client:
            yield cast("Analyzer", ClientAnalyzer(client))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_an_analyzer_keeps_the_contract(analyzer: Analyzer, check: Check) -> None:
    await check(analyzer, samples("voice.wav"))


async def test_the_graph_in_one_process_warns_by_the_speech_that_it_finds(local: LocalAnalyzer) -> None:
    found = await local.detect_language(samples("voice.wav"), allow_no_speech=True)

    assert found.speech_s is not None
    assert found.warning == shortness(found.speech_s) != shortness(speech_seconds(samples("voice.wav")))
