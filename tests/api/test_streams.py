"""Streamed answers: server-sent events and NDJSON."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import clips
import httpx2
import pytest
from fake_analyzer import FakeAnalyzer

from config.settings import GraphSettings
from deployments.api import streaming
from deployments.api.app import create_app
from voxgraph.errors import AudioTooShort, InferenceError, InvalidOptions, Overloaded
from voxgraph.results import AnalysisEvent, Received

WAV = clips.soundfile_bytes(clips.tone(3.5, 16_000), 16_000, "WAV", "PCM_16")
NDJSON, EVENTS = {"accept": "application/x-ndjson"}, {"accept": "text/event-stream"}
TIMED = ["/diarize", "/v1/analyze"]
VOLATILE = {"processing_time", "model_device"}


def lines_of(response: httpx2.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


def events_of(response: httpx2.Response) -> list[dict[str, Any]]:
    """Read server-sent events with the reader of the HTTP library."""
    assert response.status_code == 200, response.text
    blocks = [block.splitlines() for block in response.text.split("\n\n") if block.strip()]
    return [
        {"event": name.removeprefix("event: "), "data": json.loads(data.removeprefix("data: "))}
        for name, data in blocks
    ]


async def post(client: httpx2.AsyncClient, path: str, **options: Any) -> httpx2.Response:
    return await client.post(path, files={"file": ("a.wav", WAV, "audio/wav")}, **options)


async def test_the_events_come_in_their_order(client: httpx2.AsyncClient) -> None:
    lines = lines_of(await post(client, "/v1/analyze?tasks=language,deepfake", headers=NDJSON))

    assert [line["event"] for line in lines] == [
        "received", "progress", "language", "progress", "deepfake", "done",
    ]  # fmt: skip
    assert lines[0]["data"] == {"audio_duration": 3.5}
    assert lines[1]["data"] == {"task": "language", "done_s": 1.75, "audio_s": 3.5}
    assert set(lines[-1]["data"]) == {"processing_time", "audio_duration", "quality"}


@pytest.mark.parametrize(
    "asked", [{"headers": NDJSON}, {"params": {"stream": "true"}}, {"data": {"stream": "true"}}]
)
async def test_ndjson_is_asked_for_in_the_header_the_query_or_the_form(
    client: httpx2.AsyncClient, asked: dict[str, Any]
) -> None:
    response = await post(client, "/diarize", **asked)

    assert response.headers["content-type"] == "application/x-ndjson"
    assert [line["event"] for line in lines_of(response)] == ["received", "progress", "diarization", "done"]


@pytest.mark.parametrize("path", TIMED)
async def test_server_sent_events_are_those_of_ndjson(client: httpx2.AsyncClient, path: str) -> None:
    sent = await post(client, path, headers=EVENTS)
    lines = lines_of(await post(client, path, headers=NDJSON))

    assert sent.headers["content-type"] == "text/event-stream; charset=utf-8"
    for event, line in zip(events_of(sent), lines, strict=True):
        assert event["event"] == line["event"]
        assert {**event["data"], **dict.fromkeys(VOLATILE)} == {**line["data"], **dict.fromkeys(VOLATILE)}


@pytest.mark.parametrize("path", TIMED)
async def test_the_objects_are_those_of_the_json_answer(client: httpx2.AsyncClient, path: str) -> None:
    names = {"names": '{"SPEAKER_00": "Ann"}'}
    answer = (await post(client, path, data=names)).json()
    streamed = {
        line["event"]: line["data"] for line in lines_of(await post(client, path, data=names, headers=NDJSON))
    }

    if path == "/diarize":
        assert {**streamed["diarization"], **dict.fromkeys(VOLATILE)} == {**answer, **dict.fromkeys(VOLATILE)}
        return
    tasks = ["language", "speaker", "accent", "diarization", "deepfake"]
    assert {task: streamed[task] for task in tasks} == {task: answer[task] for task in tasks}
    assert streamed["done"]["quality"] == answer["quality"]


@pytest.mark.parametrize("headers", [NDJSON, EVENTS])
async def test_the_headers_keep_proxies_from_buffering(
    client: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    response = await post(client, "/diarize", headers=headers)

    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["vary"] == "Accept"


async def test_one_failing_task_does_not_end_the_others(client: httpx2.AsyncClient, analyzer: Any) -> None:
    analyzer.failures = {"language": InferenceError("no luck")}
    lines = lines_of(await post(client, "/v1/analyze?tasks=language,accent", headers=NDJSON))

    assert [line["event"] for line in lines] == [
        "received", "progress", "task_error", "progress", "accent", "done",
    ]  # fmt: skip
    assert lines[2]["data"] == {
        "task": "language", "detail": "no luck", "error_type": "ModelError", "code": "inference_error",
    }  # fmt: skip


@pytest.mark.parametrize(
    "error", [AudioTooShort("0.05 s"), InvalidOptions("no such language"), Overloaded("full")]
)
async def test_what_can_be_refused_at_once_is_no_stream(
    client: httpx2.AsyncClient, analyzer: Any, error: Exception
) -> None:
    analyzer.error = error
    response = await post(client, "/v1/analyze", headers=EVENTS)

    assert response.status_code in (422, 503)
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("options", "status"),
    [({"num_speakers": 0}, 422), ({"tasks": "singing"}, 422), ({"format": "vtt", "stream": "true"}, 422),
     ({"format": "docx"}, 406)],
)  # fmt: skip
async def test_bad_options_are_refused_before_the_stream(
    client: httpx2.AsyncClient, options: dict[str, Any], status: int
) -> None:
    response = await post(client, "/v1/analyze", headers=NDJSON, params=options)

    assert response.status_code == status
    assert response.json()["detail"]


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/json, text/event-stream;q=0.9"])
async def test_who_prefers_json_gets_it(client: httpx2.AsyncClient, accept: str) -> None:
    response = await post(client, "/diarize", headers={"accept": accept})

    assert response.json()["segments_count"] == 3


@pytest.mark.parametrize(
    ("raised", "code"),
    [(Overloaded("every queue is full"), "overloaded"), (RuntimeError("swordfish"), "internal")],
)
async def test_an_error_of_the_whole_analysis_is_the_last_event(
    client: httpx2.AsyncClient, analyzer: Any, raised: Exception, code: str
) -> None:
    async def broken(*_: object) -> AsyncIterator[AnalysisEvent]:
        yield Received(3.5)
        raise raised

    analyzer.analyze_events = broken
    response = await post(client, "/v1/analyze", headers=NDJSON)
    lines = lines_of(response)

    assert [line["event"] for line in lines] == ["received", "error"]
    assert set(lines[1]["data"]) == {"detail", "error_type", "code", "timestamp", "request_id"}
    assert lines[1]["data"]["code"] == code
    assert lines[1]["data"]["request_id"] == response.headers["x-request-id"]
    assert "swordfish" not in response.text


async def test_peaks_follow_the_first_event(client: httpx2.AsyncClient) -> None:
    lines = lines_of(await post(client, "/v1/analyze?tasks=language&peaks=2", headers=NDJSON))

    assert [line["event"] for line in lines][:2] == ["received", "peaks"]
    assert lines[1]["data"]["per_second"] == 2


class Slow(FakeAnalyzer):
    """Answers nothing until it is closed, and remembers that."""

    def __init__(self) -> None:
        super().__init__()
        self.started, self.closed = asyncio.Event(), asyncio.Event()

    async def analyze_events(self, *_: object) -> AsyncIterator[AnalysisEvent]:  # type: ignore[override]
        try:
            yield Received(3.5)
            self.started.set()
            await asyncio.Event().wait()
        finally:
            self.closed.set()


async def chunks_of(
    app: Any, headers: dict[str, str], sent: "asyncio.Queue[bytes]", gone: asyncio.Event
) -> None:
    """Ask as a server does: every piece of the answer goes into `sent`, until the client is `gone`."""
    upload = [{"type": "http.request", "body": WAV, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if upload:
            return upload.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            sent.put_nowait(message["body"])

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http", "method": "POST", "path": "/v1/analyze", "raw_path": b"/v1/analyze",
        "query_string": b"", "headers": raw, "scheme": "http", "server": ("voxgraph", 80), "root_path": "",
        "http_version": "1.1",
    }  # fmt: skip
    await app(scope, receive, send)


@pytest.mark.parametrize("headers", [NDJSON, EVENTS])
async def test_a_client_that_leaves_ends_the_work_and_frees_its_place(headers: dict[str, str]) -> None:
    analyzer, sent, gone = Slow(), asyncio.Queue[bytes](), asyncio.Event()
    analyzer.max_requests = 1
    app = create_app(analyzer, GraphSettings())
    asked = asyncio.create_task(chunks_of(app, headers, sent, gone))
    async with asyncio.timeout(5):
        assert b"received" in await sent.get()
        await analyzer.started.wait()
        assert not analyzer.closed.is_set()
        gone.set()
        await analyzer.closed.wait()
        await asked

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://voxgraph") as client:
        assert (await client.post("/diarize", content=WAV)).status_code == 200


async def test_silence_is_filled_with_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "PING_INTERVAL_S", 0.02)
    analyzer, sent, gone = Slow(), asyncio.Queue[bytes](), asyncio.Event()
    asked = asyncio.create_task(chunks_of(create_app(analyzer, GraphSettings()), EVENTS, sent, gone))

    async with asyncio.timeout(5):
        found = [await sent.get() for _ in range(4)]
        gone.set()
        await asked

    assert found[0].startswith(b"event: received\ndata: ")
    assert found[1:] == [b": ping\n\n"] * 3
