"""Hostile clients against a running graph: each is refused, and a good client beside it notices nothing."""

import asyncio
import contextlib
import gzip
import io
import itertools
import json
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import hostile
import httpx2
import numpy as np
import pytest
import socket_fuzzing
import soundfile
from beside import Beside
from launched import Launched
from recordings import new_wav, wav

from deployments.api.errors import ErrorAnswer

GOOD = "en_m3.flac"
FAR = {"x-forwarded-for": "203.0.113.9"}
"""Header that a proxy on this machine sets for a client elsewhere: those here have no limits of their own."""


def silence(seconds: float, rate_hz: int = 16_000, channels: int = 1) -> bytes:
    buffer = io.BytesIO()
    samples = np.zeros((int(seconds * rate_hz), channels), np.int16)
    soundfile.write(buffer, samples, rate_hz, format="FLAC")
    return buffer.getvalue()


def junk_behind(chunks: int) -> bytes:
    """A small plain WAV with many chunks behind its samples."""
    file = bytearray(wav(GOOD) + b"JUNK\0\0\0\0" * chunks)
    file[4:8] = struct.pack("<I", len(file) - 8)
    return bytes(file)


BOMB = gzip.compress(bytes(300_000_000), 1)
RECORDINGS: dict[str, Callable[[], bytes]] = {
    "an M4A that counts 40 million samples": lambda: hostile.counted_samples(40_000_000),
    "an M4A with four tracks of 4 million": lambda: hostile.counted_samples(4_000_000, tracks=4),
    "a fragment that counts 10 million samples": lambda: hostile.long_fragment(10_000_000),
    "a table where none belongs": lambda: hostile.hidden_table(4_000_000),
    **{f"pictures in {name}": (lambda make=make: make(8_000)) for name, make in hostile.PICTURED.items()},
    "FLAC of 655,350 Hz and 8 channels": lambda: silence(5, 655_350, 8),
    "WAV with 20,000 chunks behind": lambda: junk_behind(20_000),
    "text": lambda: b"Not a recording.\n" * 10_000,
}


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_hostile_recording_costs_only_itself(service: Launched, beside: Beside, name: str) -> None:
    content = RECORDINGS[name]()
    assert len(content) < 10_000_000

    with httpx2.Client(base_url=service.url, timeout=15) as client:
        responses = beside(lambda: client.post("/detect-language", content=content))

    for response in responses:
        assert response.status_code in (200, 400, 413, 422, 503), response.text
        if response.status_code != 200:
            assert "0x" not in ErrorAnswer.model_validate_json(response.content).detail


COSTLY: dict[str, Callable[[], bytes]] = {
    "Opus of a million packets of 2.5 ms": lambda: hostile.short_packets(9_900_000),
    "FLAC of 192 kHz and 8 channels": lambda: hostile.wide_silence(192_000, 8, 1_000),
    "FLAC of 655,350 Hz and 2 channels": lambda: hostile.wide_silence(655_350, 2, 1_000),
    "AAC of a million broken frames": lambda: hostile.broken_frames(1_100_000),
    "WAV with 1.2 million empty chunks": lambda: hostile.empty_chunks(1_200_000),
    "M4A with 1.2 million empty atoms": lambda: hostile.empty_atoms(1_200_000),
    "a million empty tags": lambda: b"ID3\4\0\0\0\0\0\0" * 990_000,
    "line ends": lambda: b"\r\n" * 4_900_000,
}
"""Recordings that take a decoder many seconds, unless it is stopped."""


@pytest.mark.parametrize("name", COSTLY)
def test_a_recording_made_to_cost_time_is_ended(service: Launched, beside: Beside, name: str) -> None:
    content = COSTLY[name]()
    assert len(content) < 10_000_000

    with httpx2.Client(base_url=service.url, timeout=120) as client:
        responses = beside(lambda: client.post("/detect-language", content=content))

    for response in responses:
        assert response.status_code in (200, 400, 413, 422), response.text


def test_two_long_silences_leave_room_for_a_short_recording(service: Launched, beside: Beside) -> None:
    lengths = itertools.count(20 * 60 * 16_000, -1)

    # The good client has its turn between the pieces of the long recordings, but shares the cores with them.
    with httpx2.Client(base_url=service.url, timeout=120) as client, ThreadPoolExecutor(2) as pool:

        def attack() -> set[int]:
            contents = [silence(next(lengths) / 16_000) for _ in range(2)]
            sent = [pool.submit(client.post, "/detect-language", content=content) for content in contents]
            return {each.result().status_code for each in sent}

        statuses = set[int]().union(*beside(attack, requests=2))

    assert statuses <= {200, 422}


def test_uploads_of_a_byte_at_a_time_are_ended(service: Launched, beside: Beside) -> None:
    door = urlsplit(service.url)
    head = b"POST /detect-language HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\nR"

    def attack() -> list[bytes]:
        drips = [socket.create_connection((door.hostname, door.port)) for _ in range(100)]
        for drip in drips:
            drip.sendall(head)
        for _ in range(24):
            for drip in drips:
                with contextlib.suppress(OSError):
                    drip.sendall(b"I")
            time.sleep(0.5)
        answers = []
        for drip in drips:
            drip.settimeout(20)
            try:
                answers.append(drip.recv(4096))
            except ConnectionResetError:
                answers.append(b"")
            drip.close()
        return answers

    (answers,) = beside(attack)

    # A client that goes on sending may lose the answer, but not the end of its connection.
    assert {answer.split(b"\r\n")[0] for answer in answers} <= {b"HTTP/1.1 408 Request Timeout", b""}
    assert any(answers)


def test_a_caller_that_leaves_and_asks_not_to_be_noticed_frees_its_place(
    service: Launched, beside: Beside
) -> None:
    door = urlsplit(service.url)
    numbers = itertools.count(4711)
    head = (
        b"POST /identify HTTP/1.1\r\nhost: localhost\r\nx-request-disconnect-disabled: ?1\r\n"
        b"x-request-timeout-seconds: 0\r\ncontent-length: %d\r\n\r\n"
    )

    with httpx2.Client(base_url=service.url, timeout=60) as client:

        def attack() -> httpx2.Response:
            content = new_wav(next(numbers), 20.0)
            for _ in range(8):
                with socket.create_connection((door.hostname, door.port)) as leaver:
                    leaver.sendall(head % len(content) + content)
            deadline = time.monotonic() + 15
            while client.get("/queue-status").json()["active_requests"]:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            return client.post("/identify", content=wav(GOOD))

        answers = beside(attack, requests=8)

    assert [answered.status_code for answered in answers] == [200] * len(answers), answers[-1].text


def test_a_flood_of_health_requests_is_answered(service: Launched, beside: Beside) -> None:
    async def flood() -> set[int]:
        async with httpx2.AsyncClient(base_url=service.url, timeout=60, headers=FAR) as client:
            answers = await asyncio.gather(*(client.get("/health") for _ in range(200)))
        return {answer.status_code for answer in answers}

    assert set[int]().union(*beside(lambda: asyncio.run(flood()))) == {200}


@pytest.mark.parametrize(
    ("name", "path", "content", "headers"),
    [
        ("a bomb of gzip", "/detect-language", BOMB, {"content-encoding": "gzip"}),
        (
            "voices spelled with an escape", "/find-match",
            b'{"user_embedding":[],"stored_embeddings":['
            + b",".join([b'{"id":1,"\\u0065mbedding":[]}'] * 300_000) + b"]}",
            {"content-type": "application/json"},
        ),
        ("deep JSON", "/find-match", b"[" * 5_000_000, {"content-type": "application/json"}),
        ("deep JSON", "/compare-voices", json.dumps({"embedding1": [[]] * 9}).encode(), {}),
    ],
    ids=["gzip", "escapes", "depth", "lists"],
)  # fmt: skip
def test_a_hostile_body_is_refused(
    service: Launched, beside: Beside, name: str, path: str, content: bytes, headers: dict[str, str]
) -> None:
    with httpx2.Client(base_url=service.url, timeout=60) as client:
        answers = beside(lambda: client.post(path, content=content, headers=headers))

    for refused in answers:
        assert 400 <= refused.status_code < 500, name
        ErrorAnswer.model_validate_json(refused.content)


def test_pages_of_others_and_other_names_are_refused(service: Launched) -> None:
    with httpx2.Client(base_url=service.url, timeout=60) as client:
        rebound = client.get("/queue-status", headers={"host": "attacker.example"})
        foreign = [
            client.post(path, headers={"origin": "https://evil.example", "sec-fetch-site": "cross-site"})
            for path in ("/clear-cache", "/cleanup-files", "/detect-language")
        ]

    assert rebound.status_code == 421
    assert [answer.status_code for answer in foreign] == [403, 403, 403]


@pytest.mark.parametrize("way_in", ["HAProxy", "the replica's own server"])
def test_mutated_requests_on_the_socket_are_answered_or_closed(
    service: Launched, beside: Beside, way_in: str
) -> None:
    url = urlsplit(service.url if way_in == "HAProxy" else service.ingress_url())
    assert url.hostname is not None
    assert url.port is not None
    address, seeds = (url.hostname, url.port), itertools.count(len(way_in))

    for report in beside(lambda: asyncio.run(socket_fuzzing.run(address, 105, seed=next(seeds)))):
        assert report.problems == []
        assert sum(report.answers.values()) == 105
        # Most have come as far as the application, and many through it.
        statuses = Counter(int(name.split()[1]) for name in report.answers.elements())
        assert statuses[200] >= 15, report.answers
        assert statuses[422] >= 15, report.answers
        assert {name.split()[0] for name in report.answers} >= {socket_fuzzing.HEAD, "recording", "form"}


def test_four_hours_of_silence_are_not_in_the_memory_of_a_process(service: Launched, beside: Beside) -> None:
    lengths = itertools.count(4 * 3600 * 16_000, -1)

    def attack() -> httpx2.Response:
        content = silence(next(lengths) / 16_000)
        assert len(content) < 1_000_000
        return httpx2.post(f"{service.url}/detect-language", content=content, timeout=120)

    # The waveform has 921 MB.
    for answered in beside(attack, max_cpu_s=20):
        # The answer may take longer than the deadline of the question on a small machine.
        assert answered.status_code in (200, 408, 422), answered.text
