"""Measure the time to recover when a deployment's only replica is killed: ``python -m benchmarks.recovery``.

Runs the graph of `make serve`, one replica of each model. The process gets SIGKILL, as from the kernel when
memory runs out; a request is then retried until it is answered.
"""

import argparse
import statistics
import time

import httpx2

from benchmarks.load import HEADERS, RequestKind
from benchmarks.report import cpu_name, table
from benchmarks.results import WRITE_HELP, publish
from benchmarks.servers import BUILD, STARTER_CONFIG, Server, graph_server, running

REQUESTS = {
    "Language": RequestKind("/detect-language", 2.0),
    "AccentEcapa": RequestKind("/classify-us-accent", 2.0),
    "AccentXlsr": RequestKind("/identify", 2.0),
    "Deepfake": RequestKind("/audio/analyze-audio", 2.0),
    "Diarization": RequestKind("/diarize", 2.0),
    "Ingress": RequestKind("/detect-language", 2.0),
}
"""A request to each deployment that is killed."""
RETRY_S = 0.05
TIMEOUT_S = 60.0
PAUSE_S = 3.0
"""Seconds between an answer and the next kill."""


def wait_for_answer(server: Server, kind: RequestKind, since: float) -> float:
    """Retry a request until it is answered 200; return the seconds since `since`.

    Raises:
        TimeoutError: There was no such answer within `TIMEOUT_S`.
    """
    with httpx2.Client(base_url=server.url, timeout=TIMEOUT_S) as client:
        while time.monotonic() - since < TIMEOUT_S:
            try:
                if client.post(kind.path, content=kind.body(), headers=HEADERS).status_code == 200:
                    return time.monotonic() - since
            except httpx2.HTTPError:
                pass
            time.sleep(RETRY_S)
    raise TimeoutError(f"{kind.path} was not answered again within {TIMEOUT_S:g} s.")


def recovery(server: Server, name: str, rounds: int) -> list[str]:
    """Kill a deployment's replica and wait for an answer, several times; return a row of the table."""
    kind = REQUESTS[name]
    took = []
    for _ in range(rounds):
        wait_for_answer(server, kind, time.monotonic())
        time.sleep(PAUSE_S)
        server.kill(name)
        took.append(wait_for_answer(server, kind, time.monotonic()))
    return [name, kind.path, str(rounds), f"{statistics.median(took):.1f}", f"{max(took):.1f}"]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=REQUESTS, default=list(REQUESTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help=WRITE_HELP)
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    graph = graph_server(STARTER_CONFIG, BUILD)
    with running(graph):
        rows = [recovery(graph, name, options.rounds) for name in options.only]
    titles = ["killed", "request", "rounds", "median s", "longest s"]
    publish("Recovery", f"{cpu_name()}; {STARTER_CONFIG.name}.\n\n{table(titles, rows)}", write=options.write)


if __name__ == "__main__":
    main()
