"""The clients of the benchmarks."""

import asyncio
import http.server
import itertools
import threading
import time
from collections.abc import Iterator

import pytest

from benchmarks.load import Ask, closed_loop
from benchmarks.soak import steadily


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers after 50 ms; /no is refused; bodies are kept."""

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
    Answering.bodies, Answering.in_flight = [], [0]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield listening
        listening.shutdown()


def test_every_request_has_a_recording_of_its_own(server: http.server.ThreadingHTTPServer) -> None:
    closed_loop(f"http://127.0.0.1:{server.server_port}", [Ask("/yes", 0.5)] * 6, 2)

    assert len(set(Answering.bodies)) == 6


def test_as_many_requests_as_asked_for_are_in_flight(server: http.server.ThreadingHTTPServer) -> None:
    outcome = closed_loop(f"http://127.0.0.1:{server.server_port}", [Ask("/yes", 0.1)] * 12, 3)

    assert max(Answering.in_flight) == 3
    assert outcome.answered == 12
    assert len(outcome.latencies_s[Ask("/yes", 0.1)]) == 12
    assert min(outcome.latencies_s[Ask("/yes", 0.1)]) >= 0.05


def test_a_refusal_counts_as_an_error_and_not_as_an_answer(server: http.server.ThreadingHTTPServer) -> None:
    asks = [Ask("/yes", 0.1), Ask("/no", 0.1)]
    outcome = closed_loop(f"http://127.0.0.1:{server.server_port}", asks, 1)

    assert outcome.answered == 1
    assert outcome.errors[0].startswith("503")
    assert list(outcome.latencies_s) == [Ask("/yes", 0.1)]


def test_a_steady_rate_does_not_wait_for_answers(server: http.server.ThreadingHTTPServer) -> None:
    url = f"http://127.0.0.1:{server.server_port}"
    asks = itertools.cycle([Ask("/yes", 0.2), Ask("/no", 0.2)])

    requests, errors, p50, _ = asyncio.run(steadily(url, asks, per_s=40.0, seconds=1.0))

    assert (requests, errors) == ("40", "20")
    assert float(p50) >= 0.05
    assert max(Answering.in_flight) > 1
