"""What fails, is sent again or raised: over a fake network, and over a real socket."""

import asyncio
import inspect
import io
import itertools
import os
import pickle
import socket
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace

import httpx2
import numpy as np
import pytest

from deployments.api.errors import STATUS
from voxgraph import AsyncClient, Client, VoxError, errors
from voxgraph.client import failures
from voxgraph.client.errors import AccessDenied, UnexpectedAnswer, Unreachable
from voxgraph.client.gallery_group import Galleries
from voxgraph.results import Embedding

LANGUAGE = {"language": "de", "name": "German", "confidence": 0.9, "probabilities": {"de": 0.9}, "new": 1}
CLIP = b"RIFF some bytes"
END_OF_FORM = b"--\r\n"
"""The last bytes of a multipart form."""

Answer = Callable[[httpx2.Request], httpx2.Response]


class Network:
    """Answers each request by the next of some functions, the last one for ever."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = itertools.chain(answers, itertools.repeat(answers[-1]))
        self.bodies: list[bytes] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.bodies.append(request.read() if isinstance(request.stream, httpx2.SyncByteStream) else b"")
        return next(self.answers)(request)


def ok(_: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(200, json=LANGUAGE)


def refusal(status: int, code: str = "overloaded", **headers: str) -> Answer:
    body = {"detail": "Why.", "error_type": "ModelError", "code": code, "request_id": "r1"}
    return lambda _: httpx2.Response(status, json=body, headers=headers)


def broken(error: type[httpx2.TransportError]) -> Answer:
    def fail(request: httpx2.Request) -> httpx2.Response:
        raise error("broken", request=request)

    return fail


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record the client's pauses instead of making them; nobody else's `sleep` is replaced."""
    made: list[float] = []

    async def pause(seconds: float) -> None:
        made.append(seconds)

    monkeypatch.setattr("voxgraph.client.http.time", SimpleNamespace(sleep=made.append))
    monkeypatch.setattr("voxgraph.client.http.asyncio", SimpleNamespace(sleep=pause))
    return made


def ask(network: Network, recording: object = CLIP, *, of: type = Client, **options: float) -> str:
    """Ask the language by one of the two clients."""
    transport = httpx2.MockTransport(network)
    if of is Client:
        with Client(transport=transport) as client:
            return client.detect_language(recording, **options).language  # type: ignore[arg-type]

    async def coroutine() -> str:
        async with AsyncClient(transport=transport) as client:
            return (await client.detect_language(recording, **options)).language  # type: ignore[arg-type]

    return asyncio.run(coroutine())


BOTH = pytest.mark.parametrize("of", [Client, AsyncClient])


@BOTH
@pytest.mark.parametrize(
    "failure",
    [
        refusal(503),
        refusal(429),
        broken(httpx2.ConnectError),
        broken(httpx2.ConnectTimeout),
        broken(httpx2.ReadError),
        broken(httpx2.RemoteProtocolError),
    ],
)
def test_a_failure_that_may_pass_is_tried_again_with_the_whole_recording(of: type, failure: Answer) -> None:
    network = Network(failure, failure, ok)

    assert ask(network, of=of) == "de"

    assert len(network.bodies) == 3
    assert all(CLIP in body for body in network.bodies)


@BOTH
def test_the_last_failure_is_raised_after_the_last_try(of: type, pauses: list[float]) -> None:
    network = Network(refusal(503))

    with pytest.raises(errors.Overloaded) as raised:
        ask(network, of=of)

    assert len(network.bodies) == 4
    assert len(pauses) == 3
    assert raised.value.request_id == "r1"


@BOTH
@pytest.mark.parametrize("recording", ["file", "pipe"])
def test_only_a_recording_that_can_be_read_again_is_sent_again(
    of: type, recording: str, tmp_path: Path
) -> None:
    network = Network(refusal(503), ok)
    (tmp_path / "clip.wav").write_bytes(CLIP)
    if recording == "file":
        with (tmp_path / "clip.wav").open("rb") as file:
            file.read(4)
            assert ask(network, file, of=of) == "de"
        assert all(CLIP in body for body in network.bodies)
        return
    reading, writing = os.pipe()
    os.write(writing, CLIP)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe, pytest.raises(errors.Overloaded):
        ask(network, pipe, of=of)
    assert len(network.bodies) == 1


def test_the_pause_is_at_least_what_the_server_asks_for(
    pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_700_000_000.0
    monkeypatch.setattr(failures, "time", SimpleNamespace(time=lambda: now, monotonic=time.monotonic))
    date = formatdate(now + 20, usegmt=True)

    ask(Network(refusal(503, **{"retry-after": "7"}), refusal(429, **{"retry-after": date}), ok))

    assert 7 <= pauses[0] <= 7 + failures.FIRST_PAUSE_S
    assert 20 <= pauses[1] <= 20 + 2 * failures.FIRST_PAUSE_S


def test_a_pause_beyond_the_deadline_is_not_made(pauses: list[float]) -> None:
    with pytest.raises(errors.Overloaded):
        ask(Network(refusal(503, **{"retry-after": "30"}), ok), timeout_s=20.0)

    assert pauses == []


GALLERIES_AWAY = refusal(503, "gallery_unavailable", **{"retry-after": "7"})
ONCE = {"delete", "erase", "opt_out", "opt_in", "withdraw_consent", "remove_reference", "merge"}
NAMED = {
    "gallery": "staff", "speaker": "a-1", "recording": CLIP, "decision_id": "dec_1", "reference": "ref_1",
    "into": "a-1", "source": "b-2", "speech_s": 3.0, "changes": {"display_name": "Anna"},
    "embedding": Embedding(np.ones(4, np.float32), "m", "r"),
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [name for name in vars(Galleries) if not name.startswith("_") and name != "enrol_people"]
)
def test_galleries_that_do_not_answer_are_asked_again_for_what_can_be_done_twice(
    name: str, pauses: list[float]
) -> None:
    network = Network(GALLERIES_AWAY)
    with Client(transport=httpx2.MockTransport(network)) as client:
        given = inspect.signature(getattr(Galleries, name)).parameters.values()
        wanted = [NAMED[each.name] for each in given if each.default is each.empty]

        with pytest.raises(errors.GalleryUnavailable):
            getattr(client.galleries, name)(*wanted)

    assert len(network.bodies) == (1 if name in ONCE else 4)
    assert all(pause >= 7 for pause in pauses)


def test_a_speaker_who_gets_another_id_is_not_looked_for_by_the_old_one() -> None:
    network = Network(GALLERIES_AWAY)
    with Client(transport=httpx2.MockTransport(network)) as client, pytest.raises(errors.GalleryUnavailable):
        client.galleries.change_speaker("staff", "a-1", {"external_id": "a-2"})

    assert len(network.bodies) == 1


def test_a_graph_without_galleries_is_not_asked_again() -> None:
    network = Network(refusal(503, "gallery_unavailable"))
    with Client(transport=httpx2.MockTransport(network)) as client, pytest.raises(errors.GalleryUnavailable):
        client.galleries.list()

    assert len(network.bodies) == 1


@BOTH
def test_what_names_speakers_is_answered_once_the_galleries_are_back(of: type, pauses: list[float]) -> None:
    network = Network(GALLERIES_AWAY, ok)

    assert ask(network, of=of) == "de"

    assert 7 <= pauses[0] <= 7 + failures.FIRST_PAUSE_S


@pytest.mark.parametrize("error", STATUS)
def test_an_error_of_the_server_is_raised_as_its_own_class(error: type[VoxError]) -> None:
    network = Network(refusal(int(STATUS[error]), error.code))

    with pytest.raises(VoxError) as raised:
        ask(network)

    assert type(raised.value) is error
    assert (raised.value.detail, raised.value.request_id) == ("Why.", "r1")
    copy = pickle.loads(pickle.dumps(raised.value))
    assert (copy.detail, copy.request_id) == ("Why.", "r1")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (302, UnexpectedAnswer),
        (401, AccessDenied),
        (403, AccessDenied),
        (404, errors.InvalidRequest),
        (413, errors.UploadTooLarge),
        (418, errors.InvalidRequest),
        (429, errors.Overloaded),
        (500, VoxError),
        (502, Unreachable),
        (504, errors.DeadlineExceeded),
    ],
)
def test_an_error_of_a_proxy_has_the_class_of_its_status(status: int, expected: type[VoxError]) -> None:
    page = httpx2.Response(status, html="<h1>no</h1>", headers={"x-request-id": "r2"})

    with pytest.raises(VoxError, match=str(status)) as raised:
        ask(Network(lambda _: page))

    assert type(raised.value) is expected
    assert raised.value.request_id == "r2"


@pytest.mark.parametrize(
    "answer",
    [httpx2.Response(200, html="<h1>"), httpx2.Response(200, json=[]), httpx2.Response(200, json={})],
)
def test_an_answer_of_something_else_is_named_as_such(answer: httpx2.Response) -> None:
    with pytest.raises(UnexpectedAnswer, match="Check the address"):
        ask(Network(lambda _: answer))


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@BOTH
def test_a_silent_server_is_left_at_the_deadline(of: type, silent: str) -> None:
    async def coroutine() -> None:
        async with AsyncClient(silent) as client:
            await client.detect_language(CLIP, timeout_s=0.3)

    started = time.monotonic()
    with pytest.raises(errors.DeadlineExceeded, match=r"0\.3 s"):
        asyncio.run(coroutine()) if of is AsyncClient else Client(silent).detect_language(CLIP, timeout_s=0.3)

    # Far below the 60 s that a question may take by default, and far above what a busy machine adds.
    assert 0.25 < time.monotonic() - started < 30.0


def test_a_server_that_is_not_there_is_unreachable() -> None:
    # A port that is taken and not listened at: nobody else can begin to.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]

        with pytest.raises(Unreachable, match=f"127.0.0.1:{port} cannot be reached"):
            Client(f"http://127.0.0.1:{port}").health(timeout_s=5.0)


def test_a_stream_that_breaks_off_raises_after_what_has_come() -> None:
    """The server declares more than it sends."""
    lines = b'{"event": "received", "data": {"audio_duration": 3.0}}\n'

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            # All of the request: closing with bytes unread resets the connection and loses the answer.
            request = b""
            while not request.endswith(END_OF_FORM):
                request += connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n" + lines)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        events = Client(f"http://127.0.0.1:{server.getsockname()[1]}").analyze_events(CLIP, timeout_s=60.0)

        assert next(events).audio_duration_s == 3.0  # type: ignore[union-attr]
        with pytest.raises(Unreachable, match="broke the connection"):
            next(events)


class Counting(io.RawIOBase):
    """A large file that remembers how much of it was read at once."""

    def __init__(self, size: int) -> None:
        self.size, self.position, self.largest = size, 0, 0

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self.position = offset if whence == 0 else self.size
        return self.position

    def tell(self) -> int:
        return self.position

    def read(self, size: int = -1) -> bytes:
        count = self.size - self.position if size < 0 else min(size, self.size - self.position)
        self.position += count
        self.largest = max(self.largest, count)
        return bytes(count)


def test_a_file_is_not_read_as_a_whole() -> None:
    file = Counting(20_000_000)

    def discard(request: httpx2.Request) -> httpx2.Response:
        assert isinstance(request.stream, httpx2.SyncByteStream)
        assert sum(len(piece) for piece in request.stream) == int(request.headers["content-length"])
        return ok(request)

    class Transport(httpx2.BaseTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            return discard(request)

    assert Client(transport=Transport()).detect_language(file).language == "de"  # type: ignore[arg-type]
    assert 0 < file.largest <= 1 << 20
