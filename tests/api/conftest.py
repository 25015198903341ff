"""The HTTP application over ASGI, with a fake analyzer that needs no models."""

from collections.abc import AsyncIterator, Callable

import httpx2
import pytest
from fake_analyzer import FakeAnalyzer

from config.settings import AudioLimits, GraphSettings
from deployments.api.app import create_app

Client = Callable[..., httpx2.AsyncClient]


@pytest.fixture
def analyzer() -> FakeAnalyzer:
    return FakeAnalyzer()


@pytest.fixture
async def client_of(analyzer: FakeAnalyzer) -> AsyncIterator[Client]:
    """Return a function that makes a client of an application with the given settings."""
    clients: list[httpx2.AsyncClient] = []

    def make(**settings: object) -> httpx2.AsyncClient:
        # The processes that decode have tests of their own; here they would start with each application.
        app = create_app(analyzer, GraphSettings.model_validate({"decoders": {"processes": 0}, **settings}))
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        clients.append(httpx2.AsyncClient(transport=transport, base_url="http://voxgraph"))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
def client(client_of: Client) -> httpx2.AsyncClient:
    return client_of(limits=AudioLimits(max_upload_bytes=8_000_000))
