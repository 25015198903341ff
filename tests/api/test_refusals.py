"""Every error has its status and the same body; uploads are limited in size and never spooled to disk."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import clips
import httpx2
import pytest

from config.settings import AudioLimits, GraphSettings
from deployments.api import middleware
from deployments.api.app import create_app
from deployments.api.errors import STATUS
from voxgraph import errors

WAV = clips.soundfile_bytes(clips.tone(1.0), 16_000, "WAV", "PCM_16")
NO_NAME = b"--x\r\nContent-Disposition: form-data\r\n\r\n"
ERRORS = [
    value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, errors.VoxError)
]


def assert_is_error(response: httpx2.Response, status: int, kind: str = "ValidationError") -> None:
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"detail", "error_type", "code", "timestamp", "request_id"}
    assert body["error_type"] == kind
    assert body["detail"]
    assert datetime.fromisoformat(body["timestamp"]).tzinfo is not None
    assert body["request_id"] == response.headers["x-request-id"]


def test_the_table_has_every_error_and_no_other() -> None:
    assert set(STATUS) == set(ERRORS)


@pytest.mark.parametrize("error", ERRORS)
async def test_an_error_of_the_analyzer_has_the_status_of_the_table(
    client: httpx2.AsyncClient, analyzer: Any, error: type[errors.VoxError]
) -> None:
    class AsRayRaisesIt(error):  # type: ignore[valid-type,misc]
        """Handle calls raise a class of Ray's that derives from the error's own."""

    analyzer.gallery = object()  # Galleries that a graph without state has not are gone for good.
    for raised in (error, AsRayRaisesIt):
        analyzer.error = raised("why it is so")
        response = await client.post("/detect-language", content=WAV)

        assert response.status_code == STATUS[error]
        assert (response.json()["detail"], response.json()["code"]) == ("why it is so", error.code)
        assert ("retry-after" in response.headers) == (STATUS[error] in (429, 503))


async def test_an_unexpected_error_is_a_500_without_its_details(
    client: httpx2.AsyncClient, analyzer: Any
) -> None:
    analyzer.error = RuntimeError("the password is swordfish")

    response = await client.post("/detect-language", content=WAV)

    assert_is_error(response, 500, "ProcessingError")
    assert "swordfish" not in response.text
    analyzer.error = None
    assert (await client.post("/detect-language", content=WAV)).status_code == 200


@pytest.mark.parametrize("path", ["/detect-language", "/diarize", "/v1/analyze", "/identify"])
@pytest.mark.parametrize(
    ("request_options", "status"),
    [
        ({}, 400),
        ({"content": b""}, 400),
        ({"files": {"file": ("a.wav", b"")}}, 400),
        ({"files": {"file": ("a.wav", b"This is text.")}}, 400),
        ({"files": {"another": ("a.wav", WAV)}}, 422),
        ({"data": {"file": "no file"}, "files": {"x": b""}}, 422),
        ({"content": b"garbage", "headers": {"content-type": "multipart/form-data"}}, 422),
        ({"content": b"garbage", "headers": {"content-type": "multipart/form-data; boundary=x"}}, 422),
        ({"content": NO_NAME, "headers": {"content-type": "multipart/form-data; boundary=x"}}, 422),
        ({"files": [(f"file{n}", WAV) for n in range(20)]}, 422),
        ({"files": {"file": WAV}, "data": {f"field{n}": "x" for n in range(100)}}, 422),
        ({"files": {"file": WAV}, "data": {"tasks": "x" * 200_000}}, 422),
    ],
)  # fmt: skip
async def test_a_bad_body_is_refused(
    client: httpx2.AsyncClient, path: str, request_options: dict[str, Any], status: int
) -> None:
    assert_is_error(await client.post(path, **request_options), status)


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/audio/analyze-audio", {"chunk_duration": "0.99"}),
        ("/audio/analyze-audio", {"chunk_duration": "30.01"}),
        ("/audio/analyze-audio", {"overlap": "0.91"}),
        ("/audio/analyze-audio", {"overlap": "nan"}),
        ("/audio/analyze-audio", {"overlap": "half"}),
        ("/diarize", {"num_speakers": "0"}),
        ("/diarize", {"num_speakers": "two"}),
        ("/diarize", {"min_speakers": "3", "max_speakers": "2"}),
        ("/diarize", {"min_duration": "-1"}),
        ("/embedding", {"normalize": "perhaps"}),
        ("/v1/analyze", {"tasks": "language,karaoke"}),
        ("/v1/analyze", {"tasks": ","}),
    ],
)
@pytest.mark.parametrize("where", ["params", "data"])
async def test_an_option_out_of_range_is_refused_by_name(
    client: httpx2.AsyncClient, path: str, options: dict[str, str], where: str
) -> None:
    response = await client.post(path, files={"file": WAV}, **{where: options})

    assert_is_error(response, 422)
    assert next(iter(options)) in response.json()["detail"]


async def test_num_speakers_overrides_bounds_that_exclude_each_other(client: httpx2.AsyncClient) -> None:
    options = {"num_speakers": "2", "min_speakers": "3", "max_speakers": "2"}

    assert (await client.post("/diarize", files={"file": WAV}, data=options)).status_code == 200


async def test_unknown_paths_and_wrong_methods_have_the_error_body(client: httpx2.AsyncClient) -> None:
    assert_is_error(await client.get("/nothing"), 404)
    wrong = await client.get("/v1/analyze")
    assert_is_error(wrong, 405)
    assert wrong.headers["allow"] == "POST"


async def test_a_refused_preflight_has_the_error_body(client_of: Any) -> None:
    client = client_of(cors_origins=["https://ours.example"])
    preflight = {"access-control-request-method": "POST", "access-control-request-headers": "x-request-id"}

    refused = await client.options("/diarize", headers=preflight | {"origin": "https://theirs.example"})
    allowed = await client.options("/diarize", headers=preflight | {"origin": "https://ours.example"})

    assert_is_error(refused, 400)
    assert "origin" in refused.json()["detail"]
    assert "access-control-allow-origin" not in refused.headers
    assert refused.headers["vary"].startswith("Origin")
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://ours.example"


async def test_a_parameter_refused_by_the_framework_has_the_error_body(analyzer: Any) -> None:
    app = create_app(analyzer, GraphSettings())

    @app.get("/double")
    async def double(number: int) -> int:
        return 2 * number

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://voxgraph") as client:
        assert (await client.get("/double", params={"number": "4"})).json() == 8
        refused = await client.get("/double", params={"number": "four"})

    assert_is_error(refused, 422)
    assert refused.json()["detail"].startswith("query.number: ")
    assert refused.json()["code"] == "invalid_options"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/detect-language", "audio/wav"),
        ("/detect-language", "multipart/form-data; boundary=x"),
        ("/find-match", "application/json"),
    ],
)
@pytest.mark.parametrize("first", [b"", b"--x\r\n"])
async def test_a_stalled_upload_is_ended_and_frees_its_slot(
    client_of: Any, analyzer: Any, path: str, kind: str, first: bytes
) -> None:
    async def stalled() -> AsyncIterator[bytes]:
        yield first
        await asyncio.sleep(60)

    analyzer.max_requests = 1
    client = client_of(limits=AudioLimits(max_stall_s=0.05))

    async with asyncio.timeout(10):
        response = await client.post(path, content=stalled(), headers={"content-type": kind})

    assert_is_error(response, 408, "ProcessingError")
    assert response.json()["code"] == "deadline_exceeded"
    assert (await client.post("/detect-language", content=WAV)).status_code == 200


async def test_a_slow_upload_may_take_longer_than_the_stall_limit(client_of: Any) -> None:
    async def slow() -> AsyncIterator[bytes]:
        for start in range(0, len(WAV), 4096):
            yield WAV[start : start + 4096]
            await asyncio.sleep(0.1)

    client = client_of(limits=AudioLimits(max_stall_s=0.5))

    assert (await client.post("/detect-language", content=slow())).status_code == 200


@pytest.mark.parametrize("charset", ["undefined", "unicode_escape", "utf-7", "idna", "hex", "no such thing"])
async def test_names_in_a_form_are_utf8_whatever_the_declared_charset(
    client: httpx2.AsyncClient, charset: str
) -> None:
    for sent, name in {
        "grüße.wav".encode(): "grüße.wav",
        b"\\ud800+2AA-": "\\ud800+2AA-",
        b"\xed\xa0\x80": "\xed\xa0\x80",
    }.items():
        disposition = b'Content-Disposition: form-data; name="file"; filename="%s"' % sent
        body = b"--a b\r\n" + disposition + b"\r\n\r\n" + WAV + b"\r\n--a b--\r\n"
        kind = f'multipart/form-data; charset="{charset}"; boundary="a b"'

        response = await client.post("/v1/batch", content=body, headers={"content-type": kind})

        assert response.status_code == 200, response.text
        assert response.json()["filename"] == name
        assert response.json()["answer"]


async def test_a_declared_length_over_the_limit_is_refused_before_the_body_is_read(client_of: Any) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield bytes(1024)

    client = client_of(limits=AudioLimits(max_upload_bytes=10_000))
    headers = {"content-length": "99999999", "content-type": "audio/wav"}

    assert_is_error(await client.post("/detect-language", content=endless(), headers=headers), 413)
    assert read <= 1


@pytest.mark.parametrize("kind", ["audio/wav", "multipart/form-data; boundary=x"])
async def test_a_body_without_a_length_is_refused_as_soon_as_it_is_over_the_limit(
    client_of: Any, kind: str
) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        while read < 1000:
            read += 1
            yield bytes(1024)

    client = client_of(limits=AudioLimits(max_upload_bytes=10_000))

    assert_is_error(
        await client.post("/detect-language", content=endless(), headers={"content-type": kind}), 413
    )
    assert read < 15


async def test_a_recording_over_the_limit_of_seconds_is_too_large(client_of: Any) -> None:
    client = client_of(limits=AudioLimits(max_audio_s=0.5))

    assert_is_error(await client.post("/detect-language", content=WAV), 413)


async def test_a_large_upload_never_becomes_a_file(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    rolled: list[object] = []
    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", rolled.append)
    watching = True

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event == "open" and any(mode in str(arguments[1]) for mode in "wax+"):
            opened.append(str(arguments[0]))

    sys.addaudithook(watch)
    large = clips.soundfile_bytes(clips.tone(60, 44_100), 44_100, "WAV", "PCM_16")
    response = await client.post("/detect-language", files={"file": large})
    watching = False

    assert len(large) > 5_000_000
    assert response.status_code == 200
    assert not opened
    assert not rolled


async def test_a_request_id_is_echoed_or_replaced_if_missing_or_invalid(
    client: httpx2.AsyncClient,
) -> None:
    given = await client.get("/health", headers={"x-request-id": "mine-17"})
    made = await client.get("/health")
    long = await client.get("/health", headers={"x-request-id": "x" * 1000})

    assert given.headers["x-request-id"] == "mine-17"
    assert len(made.headers["x-request-id"]) == len(long.headers["x-request-id"]) == 32


async def test_a_path_cannot_inject_a_line_into_the_log(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(middleware.log, "info", lambda text, *values: lines.append(text % values))

    await client.get("/x%0aFAKE%20LINE%0d%e2%80%a8", headers={"x-request-id": b"mine\x85FAKE"})
    await client.get("/health")

    assert [line for line in lines if not line.isprintable()] == []
    assert " GET /x%0AFAKE%20LINE%0D%E2%80%A8 404 " in lines[0]
    assert " GET /health 200 " in lines[1]


async def test_the_server_timing_header_has_decode_and_total(client: httpx2.AsyncClient) -> None:
    response = await client.post("/detect-language", content=WAV)

    assert response.headers["server-timing"].startswith("decode;dur=")
    assert "total;dur=" in response.headers["server-timing"]


async def test_a_client_that_disconnects_during_the_upload_causes_no_error(
    analyzer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(analyzer, GraphSettings())
    messages = iter(
        [{"type": "http.request", "body": WAV[:100], "more_body": True}, {"type": "http.disconnect"}]
    )
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "http_version": "1.1", "scheme": "http", "method": "POST", "path": "/detect-language",
        "headers": [], "query_string": b"", "server": ("voxgraph", 80), "root_path": "",
    }  # fmt: skip
    await asyncio.wait_for(app(scope, receive, send), 10)

    assert sent[0]["status"] == 499
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_recording_over_the_concurrency_limit_is_refused_unread(
    client: httpx2.AsyncClient, analyzer: Any
) -> None:
    analyzer.max_requests = 2
    gate, detect_language = asyncio.Event(), analyzer.detect_language

    async def wait(*question: Any) -> Any:
        await gate.wait()
        return await detect_language(*question)

    analyzer.detect_language = wait
    running = [asyncio.create_task(client.post("/detect-language", content=WAV)) for _ in range(2)]
    await asyncio.sleep(0.1)
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        for start in range(0, len(WAV), 1024):
            read += 1
            yield WAV[start : start + 1024]

    refused = await client.post("/detect-language", content=body())
    health = await client.get("/health")
    gate.set()

    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["code"] == "overloaded"
    assert refused.headers["x-request-id"] == refused.json()["request_id"]
    assert read <= 1
    assert health.status_code == 200
    assert [(await task).status_code for task in running] == [200, 200]
    assert (await client.post("/detect-language", content=WAV)).status_code == 200


async def test_a_request_that_is_cancelled_is_logged_and_counted(
    client: httpx2.AsyncClient, analyzer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(middleware.log, "info", lambda text, *values: lines.append(text % values))
    began = asyncio.Event()

    async def wait(*_: Any) -> None:
        began.set()
        await asyncio.sleep(60)

    analyzer.detect_language = wait
    request = asyncio.create_task(client.post("/detect-language", content=WAV))
    await asyncio.wait_for(began.wait(), 10)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request

    assert len(lines) == 1
    assert " POST /detect-language 499 " in lines[0]
    counted = (await analyzer.state.counts()).requests["/detect-language"]
    assert (counted.number, counted.failed) == (1, 1)
