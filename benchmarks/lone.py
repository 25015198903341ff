"""What the graph adds to one short clip: ``python -m benchmarks.lone``.

The bare engine and the graph over HTTP take a recording each in turn, so that whatever else the machine does
slows both. The client is the standard library's, on a connection that stays.
"""

import argparse
import time
from http.client import HTTPConnection
from statistics import median, quantiles
from urllib.parse import urlsplit

from benchmarks.bare import Bare, Cores, Job
from benchmarks.checkpoints import written
from benchmarks.load import HEADERS, Ask
from benchmarks.report import machine, table
from benchmarks.results import WRITE_HELP, publish
from benchmarks.servers import BUILD, graph_server, running, write_graph_config
from config.settings import Size
from voxgraph.options import ModelKey

WARM_UPS = 10


def answered_s(connection: HTTPConnection, ask: Ask) -> float:
    """Send a recording that the graph has not heard, and wait for the whole answer.

    Raises:
        RuntimeError: It is not 200.
    """
    body = ask.body()
    started = time.perf_counter()
    connection.request("POST", ask.path, body, HEADERS)
    response = connection.getresponse()
    text = response.read()
    took = time.perf_counter() - started
    if response.status != 200:
        raise RuntimeError(f"{response.status} {text[:200]!r}")
    return took


def row(name: str, seconds: list[float]) -> list[str]:
    """One line of the table, in milliseconds."""
    tenths = quantiles(seconds, n=10)
    return [name, *(f"{1000 * value:.1f}" for value in (median(seconds), tenths[0], tenths[-1]))]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lone", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of the recording")
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--size", type=Size, choices=list(Size), default=Size.FULL)
    parser.add_argument("--write", action="store_true", help=WRITE_HELP)
    options = parser.parse_args()
    ask, model = Ask("/detect-language", options.seconds), ModelKey.LANGUAGE
    BUILD.mkdir(parents=True, exist_ok=True)
    folder, sizes = BUILD / options.size, {model: options.size}
    written(model, options.size, folder)
    config = write_graph_config(BUILD / "lone.yaml", folder, [model], sizes, replicas=1)
    graph = graph_server(config, BUILD)
    bare_s, graph_s = [], []
    with running(graph), Bare(Job.LANGUAGE, folder, sizes, Cores(1, 1)) as bare:
        address = urlsplit(graph.url)
        connection = HTTPConnection(address.hostname or "", address.port)
        for number in range(WARM_UPS + options.times):
            taken = bare.measure([ask]).latencies_s[ask][0], answered_s(connection, ask)
            if number >= WARM_UPS:
                bare_s.append(taken[0])
                graph_s.append(taken[1])
    added = [graph - bare for graph, bare in zip(graph_s, bare_s, strict=True)]
    rows = [row("bare engine", bare_s), row("graph over HTTP", graph_s), row("what the graph adds", added)]
    text = f"{machine()} {options.times} recordings of {options.seconds:g} s, each new.\n\n"
    text += table(["", "median ms", "tenth", "nine tenths"], rows)
    publish("A clip alone", text, write=options.write)


if __name__ == "__main__":
    main()
