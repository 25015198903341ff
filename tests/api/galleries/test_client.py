"""The client asks an application with a real store, over connections that break."""

import httpx2
import pytest
from fake_analyzer import FakeAnalyzer
from tone_voices import ANNA, BERT, wav_of

from config.settings import GraphSettings
from deployments.api.app import create_app
from voxgraph import AsyncClient


class LosingTransport(httpx2.AsyncBaseTransport):
    """Lets the application answer, and loses the first answers to uploads."""

    def __init__(self, analyzer: FakeAnalyzer, lost: int) -> None:
        settings = GraphSettings.model_validate({"decoders": {"processes": 0}})
        self._inner = httpx2.ASGITransport(create_app(analyzer, settings))
        self.lost = lost

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._inner.handle_async_request(request)
        if request.url.path.endswith("/references") and request.method == "POST" and self.lost:
            self.lost -= 1
            raise httpx2.ReadError("The connection broke.", request=request)
        return response


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voxgraph.client.failures.FIRST_PAUSE_S", 0.001)


async def test_an_enrolment_whose_answer_is_lost_is_done_once(
    staff: httpx2.AsyncClient, analyzer: FakeAnalyzer
) -> None:
    transport = LosingTransport(analyzer, lost=2)
    async with AsyncClient("http://voxgraph", transport=transport) as client:
        enrolled = await client.galleries.enrol("staff", "b-2", wav_of(BERT, seconds=3.0))

        assert (transport.lost, enrolled.accepted, enrolled.repeated) == (0, True, True)
        assert len(await client.galleries.references("staff", "b-2")) == 2
        assert (await client.galleries.enrol("staff", "a-1", wav_of(ANNA))).repeated


async def test_what_people_say_of_decisions_is_read(
    staff: httpx2.AsyncClient, analyzer: FakeAnalyzer
) -> None:
    async with AsyncClient("http://voxgraph", transport=LosingTransport(analyzer, lost=0)) as client:
        found = await client.galleries.identify("staff", wav_of(ANNA))
        assert found.decision_id is not None
        confirmed = await client.galleries.confirm("staff", found.decision_id)
        rejected = await client.galleries.reject("staff", found.decision_id)
        (summary,) = await client.galleries.reviews("staff")

    assert (confirmed.decision, confirmed.verdict, rejected.verdict) == ("match", "confirmed", "rejected")
    assert (summary.made, summary.rejected["match"], summary.wrong_matches["trials"]) == ({"match": 1}, 1, 1)
