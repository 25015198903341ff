"""Measure what the graph adds to the latency of one short clip: ``python -m benchmarks.lone``.

The bare engine and the graph over HTTP take turns, one recording each, so that any disturbance of the machine
affects both. The client is that of the standard library, on a persistent connection.
"""

import argparse
import time
from http.client import HTTPConnection
from statistics import median, quantiles
from urllib.parse import urlsplit

from benchmarks.bare import BareEngine, Job, Workers
from benchmarks.checkpoints import ensure_checkpoint
from benchmarks.load import HEADERS, RequestKind
from benchmarks.report import machine, table
from benchmarks.results import WRITE_HELP, publish
from benchmarks.servers import BUILD, graph_server, running, write_graph_config
from config.settings import Size
from voxgraph.options import ModelKey

WARM_UPS = 10


def time_request(connection: HTTPConnection, kind: RequestKind) -> float:
    """Send a new recording and return the seconds until the whole answer has arrived.

    Raises:
        RuntimeError: The status is not 200.
    """
    body = kind.body()
    started = time.perf_counter()
    connection.request("POST", kind.path, body, HEADERS)
    response = connection.getresponse()
    text = response.read()
    took = time.perf_counter() - started
    if response.status != 200:
        raise RuntimeError(f"{response.status} {text[:200]!r}")
    return took


def row(name: str, seconds: list[float]) -> list[str]:
    """Return median, first and ninth decile in milliseconds, as a row of the table."""
    deciles = quantiles(seconds, n=10)
    return [name, *(f"{1000 * value:.1f}" for value in (median(seconds), deciles[0], deciles[-1]))]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lone", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each recording")
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--size", type=Size, choices=list(Size), default=Size.FULL)
    parser.add_argument("--write", action="store_true", help=WRITE_HELP)
    options = parser.parse_args()
    kind, model = RequestKind("/detect-language", options.seconds), ModelKey.LANGUAGE
    BUILD.mkdir(parents=True, exist_ok=True)
    folder, sizes = BUILD / options.size, {model: options.size}
    ensure_checkpoint(model, options.size, folder)
    config = write_graph_config(BUILD / "lone.yaml", folder, [model], sizes, replicas=1)
    graph = graph_server(config, BUILD)
    bare_s, graph_s = [], []
    with running(graph), BareEngine(Job.LANGUAGE, folder, sizes, Workers(1, 1)) as bare:
        address = urlsplit(graph.url)
        connection = HTTPConnection(address.hostname or "", address.port)
        for number in range(WARM_UPS + options.times):
            seconds = bare.measure([kind]).latencies_s[kind][0], time_request(connection, kind)
            if number >= WARM_UPS:
                bare_s.append(seconds[0])
                graph_s.append(seconds[1])
    added = [graph - bare for graph, bare in zip(graph_s, bare_s, strict=True)]
    rows = [row("bare engine", bare_s), row("graph over HTTP", graph_s), row("what the graph adds", added)]
    text = f"{machine()} {options.times} recordings of {options.seconds:g} s, each new.\n\n"
    text += table(["", "median ms", "tenth", "nine tenths"], rows)
    publish("A clip alone", text, write=options.write)


if __name__ == "__main__":
    main()
