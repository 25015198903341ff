"""Galleries over HTTP: the application with a fake analyzer, and a real store in a temporary folder."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fake_analyzer import FakeAnalyzer
from tone_voices import ANNA, BERT, CONSENT, voice_of, wav_of

from config.settings import GraphSettings
from deployments.api.app import create_app
from deployments.state.local_gallery import LocalGallery
from gallery.galleries import Galleries

Make = Callable[..., httpx2.AsyncClient]


@pytest.fixture
def analyzer(tmp_path: Path) -> Iterator[FakeAnalyzer]:
    """Return an analyzer that hears tones as voices, with galleries of its own."""
    analyzer = FakeAnalyzer()
    analyzer.voice_of = voice_of
    analyzer.speech_s = 25.0
    with Galleries(tmp_path / "state") as galleries:
        analyzer.gallery = LocalGallery(galleries)
        yield analyzer


@pytest.fixture
async def client_of(analyzer: FakeAnalyzer) -> AsyncIterator[Make]:
    """Return a function that makes a client of the application with some settings and headers."""
    clients: list[httpx2.AsyncClient] = []

    def make(
        headers: dict[str, str] | None = None, address: str = "127.0.0.1", **settings: Any
    ) -> httpx2.AsyncClient:
        app = create_app(analyzer, GraphSettings.model_validate({"decoders": {"processes": 0}, **settings}))
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False, client=(address, 1))
        client = httpx2.AsyncClient(transport=transport, base_url="http://voxgraph", headers=headers)
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
def client(client_of: Make) -> httpx2.AsyncClient:
    return client_of()


@pytest.fixture
async def staff(client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """Return a client of an application with the gallery ``staff``, in which Anna and Bert are enrolled."""
    assert (await client.put("/v1/galleries/staff", json={"probe_speech_s": 0.5})).status_code == 201
    for speaker, name, pitch in (("a-1", "Anna", ANNA), ("b-2", "Bert", BERT)):
        path = f"/v1/galleries/staff/speakers/{speaker}"
        created = await client.put(path, json={"display_name": name, "consent": CONSENT})
        assert created.status_code == 201, created.text
        enrolled = await client.post(f"{path}/references", content=wav_of(pitch))
        assert enrolled.status_code == 201, enrolled.text
    return client
