"""Measure how the graph scales with the replicas of a simulated model: ``python -m benchmarks.scaling``.

The model takes a second per batch and no CPU, so that two cores can simulate eight devices. In the last row
it takes no time: the row shows what one proxy and one ingress replica sustain, and the CPU time per request.
"""

import argparse
import sys

import numpy as np
import yaml

from benchmarks.load import RequestKind, closed_loop
from benchmarks.report import cpu_name, table
from benchmarks.results import WRITE_HELP, publish
from benchmarks.servers import BUILD, graph_server, running
from benchmarks.simulated import BATCH_ITEMS, PATH, config

REQUEST = RequestKind(PATH, 1.0)
BATCH_S = 1.0
IN_FLIGHT = 3
"""Full batches per replica: one is computed, the others are queued or in transit."""
TITLES = [
    "replicas", "batch s", "in flight", "per s", "of linear", "p50 s", "p99 s", "errors",
    "controller cores", "CPU ms per request",
]  # fmt: skip


def measure(replicas: int, batch_s: float, requests: int) -> list[str]:
    """Start a graph, warm it up and measure one round; return a row of the table."""
    path = BUILD / "simulated.yaml"
    path.write_text(yaml.safe_dump(config(replicas, batch_s)))
    graph = graph_server(path, BUILD)
    concurrency = IN_FLIGHT * BATCH_ITEMS * replicas
    with running(graph):
        closed_loop(graph.url, [REQUEST] * concurrency, concurrency)
        before = graph.cpu_s()
        outcome = closed_loop(graph.url, [REQUEST] * requests, concurrency)
        spent = {name: seconds - before.get(name, 0.0) for name, seconds in graph.cpu_s().items()}
    limit = replicas * BATCH_ITEMS / batch_s if batch_s else 0.0
    p50, p99 = np.percentile(outcome.latencies_s[REQUEST], [50, 99])
    largest = sorted(spent.items(), key=lambda item: -item[1])[:6]
    return [
        str(replicas), f"{batch_s:g}", str(concurrency), f"{outcome.per_s:.1f}",
        f"{outcome.per_s / limit:.2f}" if limit else "", f"{p50:.3f}",
        f"{p99:.3f}", str(len(outcome.errors)), f"{spent['ServeController'] / outcome.wall_s:.3f}",
        ", ".join(f"{name} {1000 * seconds / requests:.1f}" for name, seconds in largest),
    ]  # fmt: skip


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--batches", type=int, default=20, help="batches per replica in a round")
    parser.add_argument(
        "--requests", type=int, default=2_000, help="requests to the model that takes no time"
    )
    parser.add_argument("--write", action="store_true", help=WRITE_HELP)
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    runs = [(count, BATCH_S, options.batches * BATCH_ITEMS * count) for count in options.replicas]
    rows = []
    for run in [*runs, (2, 0.0, options.requests)]:
        rows.append(measure(*run))
        print("\t".join(rows[-1]), file=sys.stderr, flush=True)
    summary = f"{cpu_name()}; {REQUEST.seconds:g} s clips as WAV over HTTP to a simulated model."
    publish("Scaling", f"{summary}\n\n{table(TITLES, rows)}", write=options.write)


if __name__ == "__main__":
    main()
