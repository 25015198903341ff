"""What a network can reach of `make serve`, and what its servers take from a client: raw bytes."""

import json
import re
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import psutil
import pytest
from launched import Launched
from recordings import new_wav, wav

from deployments.api.errors import ErrorAnswer
from deployments.launch.private import TOKEN, session_folder

LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")
WAYS_IN = ["HAProxy", "the replica's own server"]


@pytest.fixture(scope="module", params=WAYS_IN)
def door(request: pytest.FixtureRequest, service: Launched) -> tuple[str, int]:
    """Return the address of a server that clients could reach."""
    url = urlsplit(service.url if request.param == WAYS_IN[0] else service.ingress_url())
    assert url.hostname is not None
    assert url.port is not None
    return url.hostname, url.port


def exchange(door: tuple[str, int], sent: bytes, limit_s: float = 30.0) -> tuple[bytes, bytes]:
    """Send one request of raw bytes; return the head and the body of the answer."""
    with closing(socket.create_connection(door, timeout=limit_s)) as connection:
        connection.sendall(sent)
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
            head, _, body = received.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head.lower())
            if length and len(body) >= int(length[1]):
                break
    head, _, body = received.partition(b"\r\n\r\n")
    return head, body


def ask(*headers: bytes, body: bytes | None = None, path: bytes = b"/detect-language") -> bytes:
    content = wav("en_m3.flac") if body is None else body
    lines = [b"POST %s HTTP/1.1" % path, b"host: localhost", b"content-length: %d" % len(content), *headers]
    return b"\r\n".join([*lines, b"", b""]) + content


def status_of(head: bytes) -> int:
    return int(head.split(b" ")[1])


def test_no_process_listens_beyond_the_loopback(service: Launched) -> None:
    assert sorted(_listening_beyond_the_loopback(service)) == []


def _listening_beyond_the_loopback(service: Launched) -> Iterator[tuple[str, int, str]]:
    seen = 0
    for process in service.processes():
        for connection in process.net_connections(kind="inet"):
            if connection.status == psutil.CONN_LISTEN:
                seen += 1
                if connection.laddr.ip not in LOOPBACK:
                    yield connection.laddr.ip, connection.laddr.port, process.name()
    assert seen > 20


def test_the_token_and_the_folder_of_the_cluster_are_of_this_user_alone(service: Launched) -> None:
    (folder,) = {
        Path(found[1])
        for process in service.processes()
        for found in [re.search(r"--session[-_]dir[= ](\S+)", " ".join(process.cmdline()))]
        if found
    }
    assert folder.is_relative_to(session_folder())

    for path in (TOKEN, session_folder().parent):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_no_process_dumps_core(service: Launched) -> None:
    for process in service.processes():
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE), process.cmdline()


@pytest.mark.parametrize(
    "header",
    [
        b"x-request-timeout-seconds: 0.001",
        b"x-request-disconnect-disabled: ?1",
        b"x-request-timeout-seconds: \xff",
        b"x-request-disconnect-disabled: \xff",
        b"serve_multiplexed_model_id: \xff",
        b"x-session-id: \xff",
        b"x-request-id: \xff",
        b"user-agent: M\xfcller",
    ],
)
def test_no_header_of_a_client_steers_serve(door: tuple[str, int], header: bytes) -> None:
    head, body = exchange(door, ask(header))

    assert status_of(head) == 200, body


@pytest.mark.parametrize("sent", [b"visit-4711", b"\xc2\x85forged", b"a" * 1000, b"one\r\nx-request-id: two"])
def test_an_answer_has_exactly_one_request_id(door: tuple[str, int], sent: bytes) -> None:
    head, body = exchange(door, ask(b"x-request-id: " + sent, body=b"no recording"))

    (answered,) = re.findall(rb"^x-request-id: *([^\r]*)", head, re.MULTILINE | re.IGNORECASE)
    assert json.loads(body)["request_id"] == answered.decode()
    assert (answered == sent) == (sent == b"visit-4711")
    assert re.fullmatch(rb"[!-~]{1,128}", answered)


def test_too_many_headers_are_refused_with_our_body(door: tuple[str, int]) -> None:
    head, body = exchange(door, ask(*(b"a%d: b" % n for n in range(150))))

    assert status_of(head) == 431
    ErrorAnswer.model_validate_json(body)


def test_a_long_head_is_refused(door: tuple[str, int]) -> None:
    head, _ = exchange(door, ask(b"a: " + b"b" * 100_000))

    assert status_of(head) in (400, 431)


def test_a_half_head_is_ended_while_others_are_answered(door: tuple[str, int]) -> None:
    started = time.monotonic()
    halves = [socket.create_connection(door) for _ in range(100)]
    for half in halves:
        half.sendall(b"POST /detect-language HTTP/1.1\r\nhost: x\r\na: ")
    assert status_of(exchange(door, ask())[0]) == 200
    for half in halves:
        half.settimeout(20)
        assert b"408" in half.recv(4096)
        half.close()

    assert time.monotonic() - started < 20


def test_a_path_that_serve_does_not_know_has_our_body(door: tuple[str, int]) -> None:
    head, body = exchange(door, ask(body=b"x", path=b"/no/such/path"))

    assert status_of(head) == 404
    ErrorAnswer.model_validate_json(body)


def test_a_body_of_several_megabytes_arrives_and_one_that_nobody_reads_is_answered(
    door: tuple[str, int],
) -> None:
    content = new_wav(1, 100.0)
    assert len(content) > 3_000_000

    assert status_of(exchange(door, ask(body=content))[0]) == 200
    assert status_of(exchange(door, ask(body=content, path=b"/no/such/path"))[0]) == 404


def test_health_asks_no_model(service: Launched) -> None:
    (model,) = service.replicas("Language")
    with httpx2.Client(base_url=service.url, timeout=30) as client:
        assert "language" in client.get("/health").json()["models"]
        model.suspend()
        try:
            started = time.monotonic()
            answers = [client.get("/health").json() for _ in range(3)]
            elapsed_s = time.monotonic() - started
        finally:
            model.resume()

    # Whoever asked the model would wait for it for five seconds.
    assert elapsed_s < 3
    assert all("language" in answer["models"] for answer in answers)
