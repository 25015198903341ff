"""The server of an ingress replica: limits on what comes before a body, and refusals with our error body."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import clips
import pytest
import uvicorn
from fake_analyzer import FakeAnalyzer
from ray.serve._private.direct_ingress_http_util import ASGIDIReceiveProxy
from starlette.types import ASGIApp, Receive, Scope, Send

from config.settings import AudioLimits, GraphSettings
from deployments.api import bodies
from deployments.api.app import create_app
from deployments.api.edge import EdgeMiddleware
from deployments.api.errors import ErrorAnswer
from deployments.launch import server
from deployments.launch.environment import NODE_ENVIRONMENT
from deployments.launch.server import LimitedHttp


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the number of bytes of the body."""
    received, more = 0, True
    while more:
        message = await receive()
        received += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(received).encode()})


@contextlib.asynccontextmanager
async def listening(app: ASGIApp = echo) -> AsyncIterator[int]:
    config = uvicorn.Config(app, port=0, http=LimitedHttp, lifespan="off", log_config=None)
    service = uvicorn.Server(config)
    task = asyncio.create_task(service.serve())
    while not service.started:
        await asyncio.sleep(0.01)
    yield service.servers[0].sockets[0].getsockname()[1]
    service.should_exit = service.force_exit = True
    await task


async def exchange(port: int, *pieces: bytes, limit_s: float = 5.0) -> bytes:
    """Send pieces and return all that comes back until the server closes or the limit ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(limit_s):
            while chunk := await reader.read(65_536):
                received += chunk
    writer.close()
    return received


def head(*headers: bytes, path: bytes = b"/", method: bytes = b"GET") -> bytes:
    return b"\r\n".join([method + b" " + path + b" HTTP/1.1", b"host: x", *headers, b"", b""])


CLOSE = b"connection: close"


def assert_is_refusal(answer: bytes, status: int) -> None:
    start, _, body = answer.partition(b"\r\n\r\n")
    assert start.startswith(b"HTTP/1.1 %d " % status), answer
    refused = ErrorAnswer.model_validate_json(body)
    assert f"x-request-id: {refused.request_id}".encode() in start


async def test_a_good_request_is_answered_and_the_connection_kept() -> None:
    post = head(b"content-length: 5", method=b"POST") + b"hello"
    async with listening() as port:
        answer = await exchange(port, post, post, head(CLOSE))

    assert answer.count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([b"no http at all\r\n\r\n"], 400),
        ([b"GET /\xff HTTP/1.1\r\n\r\n"], 400),
        ([head(*(b"a%d: b" % n for n in range(101)))], 431),
        ([head(b"a: " + b"b" * 40_000)], 431),
        ([b"GET / HTTP/1.1\r\na: ", *[b"b" * 10_000] * 20], 431),
        ([head(path=b"/" + b"a" * 10_000)], 414),
        ([b"GET /", *[b"a" * 5_000] * 20], 414),
    ],
    ids=["no HTTP", "a byte", "101 headers", "a long one", "an endless one", "a long URL", "an endless URL"],
)
async def test_a_head_over_a_limit_is_refused_with_our_body(pieces: list[bytes], status: int) -> None:
    async with listening() as port:
        assert_is_refusal(await exchange(port, *pieces), status)


async def test_millions_of_small_headers_are_refused_at_once() -> None:
    pieces = [b"GET / HTTP/1.1\r\n", *[b"a:b\r\n" * 20_000] * 40]
    async with listening() as port:
        answer = await exchange(port, *pieces)

    assert answer == b"" or answer.startswith(b"HTTP/1.1 431")


async def test_a_long_body_with_few_headers_is_no_long_head() -> None:
    body = b"x" * 300_000
    post = head(b"content-length: 300000", method=b"POST")
    async with listening() as port:
        answer = await exchange(port, post + body, head(CLOSE))

    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert b"300000" in answer


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nhost: x\r\na: "])
async def test_a_head_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(server, "HEAD_TIMEOUT_S", 0.2)
    async with listening() as port:
        async with asyncio.timeout(3):
            answer = await exchange(port, sent, limit_s=10)

    if sent:
        assert_is_refusal(answer, 408)
    else:
        assert answer == b""


async def test_trailers_count_as_headers() -> None:
    chunked = head(b"transfer-encoding: chunked", method=b"POST") + b"1\r\nx\r\n0\r\n"
    async with listening() as port:
        answer = await exchange(port, chunked, *[b"a: b\r\n" * 50] * 10)

    assert b"200 OK" not in answer or answer.count(b"HTTP/1.1") == 1


def test_serve_installs_it_where_it_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(uvicorn.config.HTTP_PROTOCOLS, "auto", "nothing:yet")

    (middleware,) = server.middlewares()

    config = uvicorn.Config(middleware.cls(echo))
    config.load()
    assert config.http_protocol_class is LimitedHttp
    assert NODE_ENVIRONMENT[server.CALLBACK_VARIABLE] == server.CALLBACK
    assert json.dumps(server.CALLBACK).strip('"') == "deployments.launch.server:middlewares"


class LikeServe:
    """Calls the application as a replica of Serve does: in a task, with a body that another task reads."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.queued: list[int] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        proxy = ASGIDIReceiveProxy(scope, receive, asyncio.get_running_loop())
        fetching = proxy.fetch_until_disconnect_task()

        async def call() -> None:
            await self._app(scope, proxy, send)

        answering = asyncio.create_task(call())
        await asyncio.wait([answering, fetching], return_when=asyncio.FIRST_COMPLETED)
        self.queued.append(proxy.queue.qsize())
        fetching.cancel()
        await answering


@pytest.mark.parametrize(
    ("path", "status"), [(b"/detect-language", 200), (b"/no/such/path", 404), (b"/identify", 413)]
)
async def test_a_long_body_passes_through_serves_queue_and_an_unread_one_stays_outside(
    path: bytes, status: int
) -> None:
    limits = AudioLimits(max_accent_upload_bytes=1_000_000)
    inner = create_app(FakeAnalyzer(), GraphSettings(limits=limits, decoders={"processes": 0}))  # type: ignore[arg-type]
    like_serve = LikeServe(inner)
    content = clips.soundfile_bytes(clips.tone(200.0), 16_000, "WAV", "PCM_16")
    assert len(content) > 5 * bodies.MAX_UNREAD_BYTES

    async with listening(EdgeMiddleware(like_serve, limits_flow=True)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head(b"content-length: %d" % len(content), path=path, method=b"POST") + content)
        async with asyncio.timeout(30):
            answer = await reader.readuntil(b"\r\n\r\n")
        writer.close()

    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:300]
    # Chunks of 64 KiB or more: what nobody has read is about a megabyte.
    assert like_serve.queued[0] <= 2 * bodies.MAX_UNREAD_BYTES // 65_536
