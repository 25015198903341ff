"""How the whole graph grows with the replicas of a simulated model: ``python -m benchmarks.scaling``.

The model takes a second per batch and no processor, so a machine of two cores shows what eight devices would
do. The last row is a model that takes no time: what one proxy and one ingress replica sustain here, and what
each process spends on a request.
"""

import argparse
import sys

import numpy as np
import yaml

from benchmarks.load import Ask, closed_loop
from benchmarks.report import cpu_name, table
from benchmarks.results import WRITE_HELP, publish
from benchmarks.servers import BUILD, graph_server, running
from benchmarks.simulated import BATCH_ITEMS, config

ASK = Ask("/detect-language", 1.0)
BATCH_S = 1.0
IN_FLIGHT = 3
"""Full batches per replica: one runs, the others wait or are on their way."""
TITLES = [
    "replicas", "batch s", "in flight", "per s", "of linear", "p50 s", "p99 s", "errors",
    "controller cores", "CPU ms per request",
]  # fmt: skip


def measure(replicas: int, batch_s: float, requests: int) -> list[str]:
    """One row: a graph of its own, warm, then one round."""
    path = BUILD / "simulated.yaml"
    path.write_text(yaml.safe_dump(config(replicas, batch_s)))
    graph = graph_server(path, BUILD)
    concurrency = IN_FLIGHT * BATCH_ITEMS * replicas
    with running(graph):
        closed_loop(graph.url, [ASK] * concurrency, concurrency)
        before = graph.cpu_s()
        outcome = closed_loop(graph.url, [ASK] * requests, concurrency)
        spent = {name: seconds - before.get(name, 0.0) for name, seconds in graph.cpu_s().items()}
    limit = replicas * BATCH_ITEMS / batch_s if batch_s else 0.0
    p50, p99 = np.percentile(outcome.latencies_s[ASK], [50, 99])
    most = sorted(spent.items(), key=lambda item: -item[1])[:6]
    return [
        str(replicas), f"{batch_s:g}", str(concurrency), f"{outcome.per_s:.1f}",
        f"{outcome.per_s / limit:.2f}" if limit else "", f"{p50:.3f}",
        f"{p99:.3f}", str(len(outcome.errors)), f"{spent['ServeController'] / outcome.wall_s:.3f}",
        ", ".join(f"{name} {1000 * took / requests:.1f}" for name, took in most),
    ]  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--batches", type=int, default=20, help="of each replica in a round")
    parser.add_argument("--requests", type=int, default=2_000, help="of the model that takes no time")
    parser.add_argument("--write", action="store_true", help=WRITE_HELP)
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    todo = [(count, BATCH_S, options.batches * BATCH_ITEMS * count) for count in options.replicas]
    rows = []
    for one in [*todo, (2, 0.0, options.requests)]:
        rows.append(measure(*one))
        print("\t".join(rows[-1]), file=sys.stderr, flush=True)
    said = f"{cpu_name()}; {ASK.seconds:g} s clips as WAV over HTTP to a simulated model."
    publish("Scaling", f"{said}\n\n{table(TITLES, rows)}", write=options.write)


if __name__ == "__main__":
    main()
