"""The load generators of the benchmarks: closed loop and fixed rate."""

import asyncio
import http.server
import itertools
import threading
import time
from collections.abc import Iterator

import pytest

from benchmarks.load import RequestKind, closed_loop
from benchmarks.soak import send_at_rate


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers after 50 ms, with 503 for /no, and records the bodies."""

    protocol_version = "HTTP/1.1"
    bodies: list[bytes]
    in_flight: list[int]

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        self.in_flight.append(self.in_flight[-1] + 1)
        time.sleep(0.05)
        self.in_flight.append(self.in_flight[-1] - 1)
        self.send_response(503 if self.path == "/no" else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    Handler.bodies, Handler.in_flight = [], [0]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield listening
        listening.shutdown()


def test_every_request_has_its_own_recording(server: http.server.ThreadingHTTPServer) -> None:
    closed_loop(f"http://127.0.0.1:{server.server_port}", [RequestKind("/yes", 0.5)] * 6, 2)

    assert len(set(Handler.bodies)) == 6


def test_a_share_of_the_requests_repeats_recordings(server: http.server.ThreadingHTTPServer) -> None:
    kinds = [RequestKind("/yes", 0.5)] * 40

    closed_loop(f"http://127.0.0.1:{server.server_port}", kinds, 8, repeated=0.25)

    assert len(Handler.bodies) == 40
    assert 20 <= len(set(Handler.bodies)) < 40


def test_the_closed_loop_keeps_the_given_number_of_requests_in_flight(
    server: http.server.ThreadingHTTPServer,
) -> None:
    outcome = closed_loop(f"http://127.0.0.1:{server.server_port}", [RequestKind("/yes", 0.1)] * 12, 3)

    assert max(Handler.in_flight) == 3
    assert outcome.answered == 12
    assert len(outcome.latencies_s[RequestKind("/yes", 0.1)]) == 12
    assert min(outcome.latencies_s[RequestKind("/yes", 0.1)]) >= 0.05


def test_a_503_counts_as_an_error_and_not_as_an_answer(server: http.server.ThreadingHTTPServer) -> None:
    kinds = [RequestKind("/yes", 0.1), RequestKind("/no", 0.1)]
    outcome = closed_loop(f"http://127.0.0.1:{server.server_port}", kinds, 1)

    assert outcome.answered == 1
    assert outcome.errors[0].startswith("503")
    assert list(outcome.latencies_s) == [RequestKind("/yes", 0.1)]


def test_a_fixed_rate_does_not_wait_for_answers(server: http.server.ThreadingHTTPServer) -> None:
    url = f"http://127.0.0.1:{server.server_port}"
    kinds = itertools.cycle([RequestKind("/yes", 0.2), RequestKind("/no", 0.2)])

    requests, errors, p50, _ = asyncio.run(send_at_rate(url, kinds, per_s=40.0, seconds=1.0))

    assert (requests, errors) == ("40", "20")
    assert float(p50) >= 0.05
    assert max(Handler.in_flight) > 1
