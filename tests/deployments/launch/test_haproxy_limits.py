"""HAProxy with the configuration that Serve writes: limits on clients, dropped headers, refusals."""

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
from ray.serve.config import HTTPOptions

from config.settings import HTTP_HOST
from deployments.api.edge import STEERING_HEADERS
from deployments.api.errors import ErrorAnswer
from deployments.launch import haproxy
from deployments.launch.environment import free_ports

HEALTH = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


@contextlib.asynccontextmanager
async def serve_haproxy(folder: Path, delay_s: float = 0.0) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Run HAProxy as Serve configures it; yield its port and the heads that reach the ingress behind it."""
    door, ingress, metrics, stats = free_ports(4)
    heads: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                if not head.startswith(b"GET /-/healthz"):
                    heads.append(head)
                    await asyncio.sleep(delay_s)
                writer.write(HEALTH)
        writer.close()

    config = HAProxyConfig(
        http_options=HTTPOptions(host="127.0.0.1", port=door), metrics_port=metrics, stats_port=stats,
        socket_path=str(folder / "admin.sock"), server_state_base=str(folder),
        server_state_file=str(folder / "state"), metrics_socket_path=str(folder / "metrics.sock"),
        has_received_routes=True, has_received_servers=True,
    )  # fmt: skip
    backend = BackendConfig(
        name="http-app", path_prefix="/", app_name="app", servers=[ServerConfig("r", "127.0.0.1", ingress)]
    )
    path = folder / "haproxy.cfg"
    writer = HAProxyApi(config, {"app": backend}, str(path))
    writer._generate_config_file_internal()
    haproxy.rewrite(path)
    path.write_text(path.read_text().replace("src 127.0.0.0/8 ::1", "src 192.0.2.1"))
    async with await asyncio.start_server(answer, "127.0.0.1", ingress):
        process = await asyncio.create_subprocess_exec(haproxy.get_binary(), "-db", "-f", path)
        try:
            await connected(door)
            yield door, heads
        finally:
            process.kill()
            await process.wait()


async def connected(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.02)


async def exchange(port: int, sent: bytes, limit_s: float = 15) -> bytes:
    """Send bytes and return all that comes back until the connection closes or has answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    received = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(limit_s):
            while b"\r\n\r\n" not in received or not complete(received):
                chunk = await reader.read(65_536)
                if not chunk:
                    break
                received += chunk
    writer.close()
    return received


def complete(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    return found is not None and len(body) >= int(found[1])


def assert_is_refusal(answer: bytes, status: int) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer
    assert set(json.loads(body)) == set(ErrorAnswer.model_fields)


def request(*headers: str, path: str = "/") -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode("latin-1")


async def test_headers_that_steer_serve_do_not_reach_the_ingress(tmp_path: Path) -> None:
    names = [*STEERING_HEADERS, "serve_multiplexed_model_id", "X-Serve-Router-Target", "X-Session-ID"]

    async with serve_haproxy(tmp_path) as (port, heads):
        await exchange(port, request(*(f"{name}: ?1" for name in names), "accept: a/b"))

    (head,) = heads
    assert b"accept: a/b" in head.lower()
    assert [name for name in names if name.lower().encode() in head.lower()] == []


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (["x-request-id: visit-4711"], True),
        (["x-request-id: " + "a" * 128], True),
        (["x-request-id: " + "a" * 129], False),
        (["x-request-id: two words"], False),
        (["x-request-id: \xff\xfe"], False),
        (["x-request-id: \xc2\x85forged line"], False),
        (["x-request-id: one", "x-request-id: two"], False),
    ],
)
async def test_only_a_single_printable_request_id_reaches_the_ingress(
    tmp_path: Path, sent: list[str], kept: bool
) -> None:
    async with serve_haproxy(tmp_path) as (port, heads):
        answer = await exchange(port, request(*sent))

    assert answer.startswith(b"HTTP/1.1 200")
    assert (b"x-request-id" in heads[0].lower()) == kept


async def test_the_ingress_learns_the_address_of_the_client(tmp_path: Path) -> None:
    async with serve_haproxy(tmp_path) as (port, heads):
        await exchange(port, request("x-forwarded-for: 203.0.113.9"))

    addresses = re.findall(rb"x-forwarded-for: *([^\r]*)", heads[0].lower())
    assert addresses[-1] == b"127.0.0.1"


@pytest.mark.parametrize(
    "sent",
    [
        b"no http at all\r\n\r\n",
        request(*(f"a{n}: b" for n in range(300))),
        request("a: " + "b" * 20_000),
        request(path="/" + "a" * 20_000),
    ],
    ids=["no HTTP", "300 headers", "a header of 20 kB", "a URL of 20 kB"],
)
async def test_a_head_over_a_limit_is_refused(tmp_path: Path, sent: bytes) -> None:
    async with serve_haproxy(tmp_path) as (port, heads):
        answer = await exchange(port, sent)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert heads == []


async def test_200_headers_are_left_to_the_ingress_to_refuse(tmp_path: Path) -> None:
    async with serve_haproxy(tmp_path) as (port, heads):
        await exchange(port, request(*(f"a{n}: b" for n in range(200))))

    assert len(heads) == 1


async def test_a_head_that_does_not_end_is_refused_after_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(haproxy, "HEAD_TIMEOUT_S", 1)
    async with serve_haproxy(tmp_path) as (port, _):
        answer = await exchange(port, b"GET / HTTP/1.1\r\nHost: x\r\na: ", limit_s=5)

    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"no http at all\r\n\r\n", 400),
        (request("a: " + "b" * 20_000), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", 408),
    ],
)
async def test_no_error_file_changes_the_page_for_a_head_that_haproxy_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes, status: int
) -> None:
    """Once it does, `SENTENCES` should have both, and SECURITY.md no exception."""
    monkeypatch.setattr(haproxy, "HEAD_TIMEOUT_S", 1)
    monkeypatch.setattr(haproxy, "SENTENCES", haproxy.SENTENCES | {400: "Ours.", 408: "Ours."})
    monkeypatch.setattr(haproxy, "_PHRASES", haproxy._PHRASES | {400: "400 Ours", 408: "408 Ours"})
    async with serve_haproxy(tmp_path) as (port, _):
        config = (tmp_path / "haproxy.cfg").read_text()
        answer = await exchange(port, sent, limit_s=5)

    assert f"errorfile {status} " in config
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"text/html" in answer


async def test_a_slow_answer_outlasts_the_limit_of_a_silent_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(haproxy, "CLIENT_TIMEOUT_S", 1)
    async with serve_haproxy(tmp_path, delay_s=2.5) as (port, _):
        answer = await exchange(port, request())

    assert answer.startswith(b"HTTP/1.1 200")


async def test_one_address_has_a_limited_number_of_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(haproxy.CONNECTIONS_VARIABLE, "4")
    async with serve_haproxy(tmp_path) as (port, _):
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(4)]
        await asyncio.sleep(0.1)
        refused = await exchange(port, request())
        for connection in held:
            connection.close()
        await asyncio.sleep(0.1)
        served = await exchange(port, request())

    assert_is_refusal(refused, 429)
    assert b"retry-after" in refused.lower()
    assert served.startswith(b"HTTP/1.1 200")


def rewritten(folder: Path, monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    config = HAProxyConfig(
        http_options=HTTPOptions(host="127.0.0.1", port=8000), socket_path=str(folder / "a.sock"),
        server_state_base=str(folder), server_state_file=str(folder / "state"),
        metrics_socket_path=str(folder / "m.sock"),
    )  # fmt: skip
    path = folder / "haproxy.cfg"
    HAProxyApi(config, {}, str(path))._generate_config_file_internal()
    haproxy.rewrite(path)
    once = path.read_text()
    haproxy.rewrite(path)
    assert path.read_text() == once
    return once


def binds(config: str) -> dict[str, str]:
    return dict(re.findall(r"^(?:frontend|listen) (\w+)\n *bind (\S+)", config, re.MULTILINE))


def test_metrics_and_statistics_are_on_the_loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = binds(rewritten(tmp_path, monkeypatch))

    assert {address.rsplit(":", 1)[0] for address in found.values()} == {"127.0.0.1"}
    assert set(found) == {"prometheus", "http_frontend", "stats"}


def test_addresses_can_be_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {haproxy.METRICS_HOST_VARIABLE: "192.0.2.7", HTTP_HOST: "0.0.0.0"}
    found = binds(rewritten(tmp_path, monkeypatch, **variables))

    assert found["prometheus"].startswith("192.0.2.7:")
    assert found["stats"].startswith("192.0.2.7:")
    assert found["http_frontend"] == "*:8000"


def test_each_limit_is_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = rewritten(tmp_path, monkeypatch)

    assert re.findall(r"timeout http-request (\S+)", config) == [f"{haproxy.HEAD_TIMEOUT_S}s"]
    assert set(re.findall(r"timeout client (\S+)", config)) == {f"{haproxy.CLIENT_TIMEOUT_S}s"}
    assert set(re.findall(r"errorfile (\d+)", config)) == {str(status) for status in haproxy.SENTENCES}


async def test_a_connection_carries_one_request_at_a_time(tmp_path: Path) -> None:
    settings = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    async with serve_haproxy(tmp_path) as (port, heads):
        answer = await exchange(port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert not heads
