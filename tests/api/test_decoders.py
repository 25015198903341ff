"""Over HTTP, a recording on which its decoder crashes is refused, and others are answered."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import clips
import httpx2
import numpy as np
import pytest
from fake_analyzer import FakeAnalyzer

from config.settings import GraphSettings
from deployments.api.app import create_app
from deployments.api.began import elapsed_s
from pipelines.audio.workers.pool import DecoderPool
from voxgraph.results import DiarizationResult

OPUS = clips.ffmpeg_bytes(clips.tone(5.0, 48_000), 48_000, "ogg", "libopus")
LONG = clips.soundfile_bytes(np.zeros((30 * 96_000, 4), np.float32), 96_000, "FLAC") * 20
"""A small upload that takes seconds."""


@pytest.fixture
async def app(analyzer: Any) -> AsyncIterator[Any]:
    app = create_app(analyzer, GraphSettings())
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def client(app: Any) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://voxgraph") as client:
        yield client


async def busy(app: Any) -> int:
    """Wait for a process that decodes, and return its number."""
    pool: DecoderPool = app.state.decoder
    async with asyncio.timeout(5):
        while not pool._busy:
            await asyncio.sleep(0.01)
    return pool._busy[0].pid


async def test_the_processes_wait_before_the_first_request(app: Any) -> None:
    assert len(app.state.decoder._idle) == 2


async def test_a_crash_is_answered_400_and_costs_nobody_else(app: Any, client: httpx2.AsyncClient) -> None:
    crashing = asyncio.create_task(client.post("/detect-language", content=LONG))
    os.kill(await busy(app), signal.SIGSEGV)
    others = await asyncio.gather(*(client.post("/detect-language", content=OPUS) for _ in range(5)))

    refused = await crashing

    assert (refused.status_code, refused.json()["code"]) == (400, "undecodable")
    assert [response.status_code for response in others] == [200] * 5


async def test_a_client_that_leaves_ends_its_process_and_frees_the_budget(
    app: Any, client: httpx2.AsyncClient
) -> None:
    free = app.state.budget.free
    leaving = asyncio.create_task(client.post("/detect-language", content=LONG))
    await busy(app)

    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)

    assert app.state.decoder._busy == []
    assert app.state.budget.free == free
    assert (await client.post("/detect-language", content=OPUS)).status_code == 200


async def test_the_decoding_ends_at_the_deadline(
    app: Any, client: httpx2.AsyncClient, analyzer: FakeAnalyzer
) -> None:
    free, analyzer.deadline = app.state.budget.free, 0.3

    late = await client.post("/detect-language", content=LONG)

    assert (late.status_code, late.json()["code"]) == (408, "deadline_exceeded")
    assert app.state.decoder._busy == []
    assert app.state.budget.free == free


async def test_the_deadline_is_that_of_the_question_and_counts_from_the_beginning_of_the_decoding(
    app: Any, client: httpx2.AsyncClient, analyzer: FakeAnalyzer, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode, diarize, elapsed = app.state.decoder.decode, analyzer.diarize, list[float]()

    async def slow(*arguments: Any) -> Any:
        await asyncio.sleep(0.4)
        return await decode(*arguments)

    async def timed(*arguments: Any) -> DiarizationResult:
        elapsed.append(elapsed_s())
        return await diarize(*arguments)

    monkeypatch.setattr(app.state.decoder, "decode", slow)
    monkeypatch.setattr(analyzer, "diarize", timed)
    analyzer.deadline = 0.3

    late = await client.post("/detect-language", content=OPUS)
    patient = [await client.post("/diarize", content=OPUS) for _ in range(3)]

    assert late.status_code == 408
    assert [answer.status_code for answer in patient] == [200] * 3
    assert min(elapsed) >= 0.4
    assert max(elapsed) < 3 * 0.4 + min(elapsed)
