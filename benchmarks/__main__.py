"""Compare the graph with naive servers: ``make bench``, or ``python -m benchmarks --only embedding-8``.

Writes full-size checkpoints with random weights once and starts the naive server and the graph on them. In
each round the naive server, the bare engine and the graph take turns at every workload.
"""

import argparse
import contextlib
import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence

from benchmarks.bare import BareEngine, Workers
from benchmarks.checkpoints import ensure_checkpoint
from benchmarks.load import Outcome, RequestKind, closed_loop
from benchmarks.report import Result, ServerStats, Side, page
from benchmarks.results import WRITE_HELP, publish, write_section
from benchmarks.servers import (
    BUILD,
    STARTER_CONFIG,
    Server,
    graph_server,
    naive_server,
    running,
    write_graph_config,
)
from benchmarks.workloads import DIARIZATION, Workload, all_workloads, quick
from config.settings import Size
from voxgraph.options import ModelKey

STARTER_START = "starter-start"
"""Name of the measurement that only starts ``config/starter.yaml``."""
TITLE = "Against naive servers"
CORES = os.cpu_count() or 1

Send = Callable[[Sequence[RequestKind]], Outcome]
"""Sends one round of requests to a side and returns the outcome."""


class Bench:
    """Run workloads on checkpoints of one size and collect the results.

    Args:
        is_quick: Use small networks where the naive libraries can load them.
        rounds: Rounds of each workload.
    """

    def __init__(self, is_quick: bool, rounds: int) -> None:
        self._folder = BUILD / ("quick" if is_quick else "full")
        self._size = Size.SMALL if is_quick else Size.FULL
        # pyannote can only load its embedding network in full width.
        self._sizes = {key: Size.FULL if key is DIARIZATION else self._size for key in ModelKey}
        self._rounds = rounds
        self.results: list[Result] = []
        self.server_stats: list[ServerStats] = []

    def run(self, workloads: Sequence[Workload]) -> Iterator[None]:
        """Measure group by group; consecutive workloads on the same models share their servers."""
        for (models, replicas), group in itertools.groupby(
            workloads, lambda workload: (workload.models, workload.replicas)
        ):
            self._run_group(models, replicas or CORES, list(group))
            yield

    def start_starter(self) -> None:
        """Start the graph of `make serve` and record its start time, idle CPU and memory."""
        graph = graph_server(STARTER_CONFIG, BUILD)
        with running(graph):
            self._record_start(STARTER_CONFIG.name, Side.GRAPH, graph, graph.idle_cores())

    def _run_group(self, models: tuple[ModelKey, ...], replicas: int, group: list[Workload]) -> None:
        for key in models:
            ensure_checkpoint(key, self._sizes[key], self._folder)
        log(f"starting servers of {', '.join(models)}")
        config = write_graph_config(BUILD / "graph.yaml", self._folder, models, self._sizes, replicas)
        graph = graph_server(config, BUILD)
        naive = naive_server(self._folder, models, self._size, BUILD)
        servers = {Side.GRAPH: graph}
        if any(workload.naive for workload in group):
            servers = {Side.NAIVE: naive} | servers
        # Start them in sequence so that the start times do not disturb each other.
        with running(*servers.values()):
            idle = {side: server.idle_cores() for side, server in servers.items()}
            self.results += [self._measure(workload, naive, graph) for workload in group]
            what = f"{', '.join(models)}; {replicas} replicas each"
            for side, server in servers.items():
                self._record_start(what, side, server, idle[side])

    def _measure(self, workload: Workload, naive: Server, graph: Server) -> Result:
        result = Result(workload)
        with contextlib.ExitStack() as stack:
            sides: dict[Side, Send] = {}
            if workload.naive:
                sides[Side.NAIVE] = http_sender(workload, naive)
            if workload.job is not None:
                bare = BareEngine(workload.job, self._folder, self._sizes, bare_workers(workload))
                sides[Side.BARE] = stack.enter_context(bare).measure
            sides[Side.GRAPH] = http_sender(workload, graph)
            log(f"{workload.name}: warming up")
            for side, send in sides.items():
                send(workload.warm_up(side is Side.NAIVE))
            for _ in range(self._rounds):
                for side, send in sides.items():
                    outcome = send(workload.one_round(side is Side.NAIVE))
                    result.rounds.setdefault(side, []).append(outcome)
                    log(f"{workload.name}, {side}: {outcome.per_s:.3g} per s, {len(outcome.errors)} errors")
        return result

    def _record_start(self, what: str, side: Side, server: Server, idle_cores: float) -> None:
        self.server_stats.append(ServerStats(what, side, server.ready_s, idle_cores, server.memory_mb()))


def http_sender(workload: Workload, server: Server) -> Send:
    """Return a function that sends requests of a workload to a server."""
    return lambda kinds: closed_loop(
        server.url, kinds, workload.concurrency, workload.background, workload.repeated
    )


def bare_workers(workload: Workload) -> Workers:
    """Return the processes and threads of the bare engine for a workload."""
    return Workers(1, workload.bare_threads or CORES) if workload.one_by_one else Workers(CORES, 1)


def log(text: str) -> None:
    """Print progress to stderr, apart from the tables."""
    print(text, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the workloads selected on the command line and print the page."""
    names = [workload.name for workload in all_workloads()]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[*names, STARTER_START], default=[*names, STARTER_START])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=300.0, help="length of the diarized conversation")
    parser.add_argument(
        "--stock-seconds", type=float, default=30.0, help="length for stock pyannote; its figures are scaled"
    )
    parser.add_argument("--quick", action="store_true", help="smoke test: small networks, few requests")
    parser.add_argument("--write", action="store_true", help=WRITE_HELP)
    options = parser.parse_args(arguments)
    # Exit through the context managers on SIGTERM, so that no server is left running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    BUILD.mkdir(parents=True, exist_ok=True)
    if options.quick:
        workloads = [quick(workload) for workload in all_workloads(15.0, 11.0, 900.0)]
    else:
        workloads = all_workloads(options.seconds, options.stock_seconds)
    rounds = 1 if options.quick else options.rounds
    bench = Bench(options.quick, rounds)
    # A partial run gets its own section and leaves the section of the full run alone.
    title = TITLE if set(options.only) > set(names) else f"{TITLE}: {', '.join(options.only)}"
    for _ in bench.run([workload for workload in workloads if workload.name in options.only]):
        if options.write:
            # A full run takes an hour: write after each group, so that an aborted run keeps its results.
            write_section(title, page(bench.results, bench.server_stats, rounds))
    if STARTER_START in options.only:
        bench.start_starter()
    publish(title, page(bench.results, bench.server_stats, rounds), write=options.write)


if __name__ == "__main__":
    main()
