"""``Expect: 100-continue``, which curl sends with bodies of over 1 MB, through the server of a replica."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from fake_analyzer import FakeAnalyzer
from recordings import encode, samples
from served import served

from config.settings import GraphSettings
from deployments.api.app import create_app

LIMIT_S = 60.0


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    with served(create_app(FakeAnalyzer(), GraphSettings())) as url:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        yield parts.hostname, parts.port


def ask(address: tuple[str, int], body: bytes, stated: int | None = None) -> tuple[bytes, bytes]:
    """Send the head of a request, and its body once the server says to go on.

    Returns:
        What came before the body was sent, and the final answer.
    """
    head = (
        "POST /detect-language HTTP/1.1\r\nHost: voxgraph\r\nConnection: close\r\nContent-Type: audio/wav\r\n"
        f"Expect: 100-continue\r\nContent-Length: {len(body) if stated is None else stated}\r\n\r\n"
    )
    with closing(socket.create_connection(address, timeout=LIMIT_S)) as connection:
        connection.sendall(head.encode())
        first = connection.recv(65_536)
        if first.startswith(b"HTTP/1.1 100"):
            connection.sendall(body)
            interim, _, answer = first.partition(b"\r\n\r\n")
        else:
            interim, answer = b"", first
        while received := connection.recv(65_536):
            answer += received
    return interim, answer


@pytest.mark.parametrize("megabytes", [0.1, 1.5])
def test_a_client_that_waits_for_100_is_told_to_send_its_body(
    address: tuple[str, int], megabytes: float
) -> None:
    clip = samples("accent_us_m3.flac")
    body = encode(clip.repeat(1 + int(megabytes * 1e6 / 2 / len(clip))))

    interim, answer = ask(address, body)

    assert interim.startswith(b"HTTP/1.1 100")
    assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
    assert json.loads(answer[answer.index(b"{") : answer.rindex(b"}") + 1])["success"] is True


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(address: tuple[str, int]) -> None:
    _, answer = ask(address, b"", stated=300_000_000)

    assert answer.startswith(b"HTTP/1.1 413"), answer[:300]
    assert b"upload_too_large" in answer
