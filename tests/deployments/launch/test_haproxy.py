"""HAProxy in front of a fake ingress: it notices clients that hang up, and answers errors like the API."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from deployments.api.errors import ErrorAnswer
from deployments.launch import haproxy
from deployments.launch.environment import HAPROXY_ENVIRONMENT, free_ports

UPLOAD = b"\0" * 32_044
"""One second of audio, more than HAProxy's buffer."""
DETECTION_TIMEOUT_S = 5.0
SERVE_CONFIG = """
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    option abortonclose
    option splice-request
    option splice-response
    option http-no-delay
frontend door
    bind 127.0.0.1:{door}
    default_backend ingress
backend ingress
    server replica 127.0.0.1:{ingress}
"""
"""The relevant part of Serve's configuration."""


@contextlib.asynccontextmanager
async def running(config: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(haproxy.COMMAND, "-db", "-f", config)
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def connected(port: int) -> asyncio.StreamWriter:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.05)
        else:
            return writer


async def test_a_client_that_hangs_up_after_an_upload_is_noticed(tmp_path: Path) -> None:
    door, ingress = free_ports(2)
    config = tmp_path / "haproxy.cfg"
    config.write_text(SERVE_CONFIG.format(door=door, ingress=ingress))
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(len(UPLOAD))
        arrived.set()
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        gone.set()
        writer.close()

    async with await asyncio.start_server(never_answer, "127.0.0.1", ingress), running(config):
        client = await connected(door)
        client.write(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {len(UPLOAD)}\r\n\r\n".encode() + UPLOAD)
        async with asyncio.timeout(DETECTION_TIMEOUT_S):
            await arrived.wait()
            client.transport.abort()
            await gone.wait()


SERVE_CONFIG_WITH_ERRORS = """
defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout server 60s
    errorfile 502 /nonexistent/500.http
    errorfile 503 /nonexistent/500.http
frontend door
    bind 127.0.0.1:{door}
    # Comments of Serve's speak of use_backend, too.
    {rule}
    default_backend default_backend
backend default_backend
    http-request return status 404 content-type text/plain lf-string "Path \\'%[path]\\' not found."
backend ingress
    server replica 127.0.0.1:{ingress}
"""
"""The same, with Serve's answers for the case that no ingress replica can answer."""


async def post(port: int, path: str) -> httpx2.Response:
    (await connected(port)).close()
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
        return await client.post(path, content=b"x")


@pytest.mark.parametrize("ends", ["refuses", "disconnects"])
async def test_a_dying_ingress_is_answered_503_with_retry_after(tmp_path: Path, ends: str) -> None:
    door, ingress = free_ports(2)
    config = tmp_path / "haproxy.cfg"
    config.write_text(
        SERVE_CONFIG_WITH_ERRORS.format(
            door=door, ingress=ingress, rule="use_backend ingress if { path -m beg /app }"
        )
    )

    async def disconnect(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with contextlib.AsyncExitStack() as stack:
        if ends == "disconnects":
            await stack.enter_async_context(await asyncio.start_server(disconnect, "127.0.0.1", ingress))
        await stack.enter_async_context(running(config))
        refused, missing = await post(door, "/app/detect-language"), await post(door, "/elsewhere")

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.json() == haproxy.refusal_page(503)
    assert set(refused.json()) == set(ErrorAnswer.model_fields)
    assert (missing.status_code, missing.json()) == (404, haproxy.refusal_page(404))


async def test_the_path_of_the_configuration_stays_on_the_command_line(tmp_path: Path) -> None:
    (door, ingress), config = free_ports(2), tmp_path / "haproxy.cfg"
    config.write_text(SERVE_CONFIG.format(door=door, ingress=ingress))

    async with running(config) as process:
        (await connected(door)).close()
        arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")

    assert str(config).encode() in arguments


async def test_without_an_ingress_it_answers_503(tmp_path: Path) -> None:
    door, ingress = free_ports(2)
    config = tmp_path / "haproxy.cfg"
    config.write_text(SERVE_CONFIG_WITH_ERRORS.format(door=door, ingress=ingress, rule=""))

    async with running(config):
        refused = await post(door, "/detect-language")

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.json()["code"] == "model_unavailable"


def test_the_command_passes_its_arguments_to_haproxy() -> None:
    environment = os.environ | HAPROXY_ENVIRONMENT
    completed = subprocess.run(
        [haproxy.COMMAND, "-v"], env=environment, capture_output=True, text=True, check=True
    )

    assert "HAProxy version" in completed.stdout


def test_the_command_is_installed_and_serve_is_configured_with_it() -> None:
    assert os.access(haproxy.COMMAND, os.X_OK)
    assert HAPROXY_ENVIRONMENT[haproxy.BINARY_VARIABLE] == haproxy.COMMAND
