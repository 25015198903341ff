"""Admission, statistics, comparisons and batches, with the graph's state in this process."""

import asyncio
import json
import time
from typing import Any

import clips
import httpx2
import numpy as np
import pytest

from deployments.api import upload
from deployments.api.routes import batch
from pipelines.audio.decoding import Recording, decode_recording
from voxgraph.errors import InferenceError
from voxgraph.options import ModelKey

WAV = clips.soundfile_bytes(clips.tone(1.0), 16_000, "WAV", "PCM_16")
FILE = {"file": ("a.wav", WAV, "audio/wav")}


@pytest.fixture
def stuck(analyzer: Any) -> asyncio.Event:
    """Block `identify_accent` until the event is set."""
    gate, identify_accent = asyncio.Event(), analyzer.identify_accent

    async def wait(*arguments: Any) -> Any:
        await gate.wait()
        return await identify_accent(*arguments)

    analyzer.identify_accent = wait
    return gate


async def test_identify_ends_by_its_deadline_and_releases_its_slot(
    client: httpx2.AsyncClient, analyzer: Any, stuck: asyncio.Event
) -> None:
    analyzer.state.slot_deadline_s = 0.05

    response = await client.post("/identify", files=FILE)

    assert response.status_code == 408
    assert response.json()["code"] == "deadline_exceeded"
    assert (await analyzer.state.queue()).running == ()


async def test_identify_refuses_when_its_slots_and_queue_are_full(
    client: httpx2.AsyncClient, analyzer: Any, stuck: asyncio.Event
) -> None:
    await analyzer.state.graph.reconfigure({"max_running": 2, "max_queued": 1})
    waiting = [asyncio.create_task(client.post("/identify", files=FILE)) for _ in range(3)]
    while (await client.get("/queue-status")).json()["queue_size"] < 1:
        await asyncio.sleep(0.01)

    refused = await client.post("/identify", files=FILE)
    full = (await client.get("/queue-status")).json()
    stuck.set()

    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert (full["queue_full"], full["semaphore_locked"], full["available_slots"]) == (True, True, 0)
    assert len(set(full["active_request_ids"])) == 2
    assert [(await task).status_code for task in waiting] == [200, 200, 200]
    assert (await client.get("/queue-status")).json()["active_requests"] == 0


async def test_other_endpoints_need_no_admission(
    client: httpx2.AsyncClient, analyzer: Any, stuck: asyncio.Event
) -> None:
    await analyzer.state.graph.reconfigure({"max_running": 1, "max_queued": 0})
    first = asyncio.create_task(client.post("/identify", files=FILE))
    while not (await analyzer.state.queue()).running:
        await asyncio.sleep(0.01)

    assert (await client.post("/detect-language", files=FILE)).status_code == 200

    stuck.set()
    await first


async def test_only_requests_about_recordings_are_counted(client: httpx2.AsyncClient) -> None:
    await client.post("/detect-language", files=FILE)
    await client.post("/detect-language", files={"file": ("a.wav", b"none")})
    await client.post("/clear-cache")
    await client.get("/health")
    await client.post("/no/such/path")

    stats = (await client.get("/stats")).json()

    assert stats["total_requests"] == 2
    assert stats["endpoints"]["/detect-language"]["failed"] == 1
    assert set(stats["endpoints"]) == {"/detect-language"}


async def test_two_recordings_are_embedded_as_a_pair(client: httpx2.AsyncClient, analyzer: Any) -> None:
    shorter = clips.soundfile_bytes(clips.tone(0.5), 16_000, "WAV", "PCM_16")

    response = await client.post("/compare", files={"file1": WAV, "file2": shorter})

    assert [len(waveform) for waveform in analyzer.pair] == [16_000, 8_000]
    assert response.json()["similarity_score"] == pytest.approx(1)
    assert response.json()["audio_duration"] == 1.5


async def test_the_decode_time_covers_both_recordings(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits_s = [0.05, 0.0]

    def slow(*arguments: Any, **options: Any) -> Recording:
        time.sleep(waits_s.pop(0))
        return decode_recording(*arguments, **options)

    monkeypatch.setattr(upload, "decode_recording", slow)

    response = await client.post("/compare", files={"file1": WAV, "file2": WAV})

    name, milliseconds = response.headers["server-timing"].split(", ")[0].split(";dur=")
    assert name == "decode"
    assert float(milliseconds) >= 50


async def test_an_embedding_with_a_revision_that_is_not_utf8_is_unreadable(
    client: httpx2.AsyncClient,
) -> None:
    stored = {"embedding": np.linspace(-1, 1, 192).tolist(), "revision": "\ud800"}
    files = {"audio": WAV, "embedding": ("e.json", json.dumps(stored).encode())}

    response = await client.post("/compare_embedding", files=files)

    assert (response.status_code, response.json()["code"]) == (400, "unreadable_embedding")


async def test_an_embedding_that_names_its_model_selects_the_encoder(
    client: httpx2.AsyncClient, analyzer: Any
) -> None:
    stored = {"embedding": np.linspace(-1, 1, 192).tolist(), "model": "LanceaKing/spkrec-ecapa-cnceleb"}

    for body, encoder in ((stored, ModelKey.SPEAKER_CNCELEB), (stored["embedding"], None)):
        files = {"audio": WAV, "embedding": ("e.json", json.dumps(body).encode())}
        response = await client.post("/compare_embedding", files=files)
        assert response.status_code == 200, response.text
        assert analyzer.encoder == encoder


async def test_an_error_of_one_recording_of_a_batch_is_in_its_line(
    client: httpx2.AsyncClient, analyzer: Any
) -> None:
    analyzer.error = InferenceError("it failed")

    response = await client.post("/v1/batch", files=[("a", ("1", WAV)), ("b", ("2", b"no audio"))])

    lines = sorted((json.loads(line) for line in response.text.splitlines()), key=lambda line: line["index"])
    assert lines[0]["error"] == {"detail": "it failed", "error_type": "ModelError", "code": "inference_error"}
    assert lines[1]["error"]["error_type"] == "ValidationError"


async def test_an_unexpected_error_in_a_batch_affects_one_line_and_hides_its_details(
    client: httpx2.AsyncClient, analyzer: Any
) -> None:
    analyzer.error = RuntimeError("a secret")

    response = await client.post("/v1/batch", files=[("a", ("1", WAV)), ("b", ("2", b"no audio"))])

    lines = sorted((json.loads(line) for line in response.text.splitlines()), key=lambda line: line["index"])
    assert lines[0]["error"]["code"] == "internal"
    assert "secret" not in response.text
    assert lines[1]["error"]["error_type"] == "ValidationError"


async def test_recordings_of_a_batch_that_are_not_ready_in_time_get_timeout_lines(
    client: httpx2.AsyncClient, analyzer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "BATCH_WITHIN_S", 0.2)
    monkeypatch.setattr(batch, "BATCH_WINDOW", 1)
    run, calls = analyzer.analyze, []

    async def slow(*arguments: Any) -> Any:
        calls.append(arguments)
        await asyncio.sleep(0.05 if len(calls) == 1 else 60)
        return await run(*arguments)

    analyzer.analyze = slow
    response = await client.post("/v1/batch", files=[("file", (str(n), WAV)) for n in range(3)])

    lines = [json.loads(line) for line in response.text.splitlines()]
    assert ["answer" in line for line in lines] == [True, False, False]
    assert {line["error"]["code"] for line in lines[1:]} == {"deadline_exceeded"}
    assert len(calls) == 2


async def test_a_batch_works_on_a_few_recordings_at_a_time(client: httpx2.AsyncClient, analyzer: Any) -> None:
    run, running, most = analyzer.analyze, 0, 0

    async def counted(*arguments: Any) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        return await run(*arguments)

    analyzer.analyze = counted
    response = await client.post("/v1/batch", files=[("file", (str(n), WAV)) for n in range(20)])

    assert len(response.text.splitlines()) == 20
    assert most == batch.BATCH_WINDOW == 4


async def test_a_model_that_is_not_loaded_is_unavailable(client: httpx2.AsyncClient, analyzer: Any) -> None:
    analyzer.unavailable = {ModelKey.DEEPFAKE}

    status, info = await client.get("/audio/model-status"), await client.get("/audio/model-info")

    assert status.json()["model_loaded"] is False
    assert info.status_code == 503
    assert "retry-after" in info.headers


async def test_a_client_that_disconnects_cancels_its_batch(analyzer: Any) -> None:
    """Cancel the generator of lines, as the server does when its client disconnects."""
    from deployments.api.options import BatchOptions
    from deployments.api.routes.batch import _lines

    cancelled = asyncio.Event()

    class Forever:
        name = "a.wav"

        async def decode(self, *_: Any) -> Any:
            try:
                await asyncio.sleep(60)
            finally:
                cancelled.set()

    lines = _lines([Forever()], analyzer, None, BatchOptions())  # type: ignore[arg-type, list-item]
    waiting = asyncio.create_task(anext(lines))  # type: ignore[arg-type]
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    await asyncio.wait_for(cancelled.wait(), 1)
