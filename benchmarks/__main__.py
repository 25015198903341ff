"""Ours against naive servers, in one run: ``make bench``, or ``python -m benchmarks --only embedding-8``.

Writes full-size checkpoints with random weights once, starts the naive server and the graph on them, and
gives each workload to naive server, bare engine and graph in turn, round after round.
"""

import argparse
import contextlib
import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence

from benchmarks.bare import Bare, Cores
from benchmarks.checkpoints import written
from benchmarks.load import Ask, Outcome, closed_loop
from benchmarks.report import Result, Side, Started, page
from benchmarks.results import WRITE_HELP, keep, publish
from benchmarks.servers import (
    BUILD,
    DEMO_CONFIG,
    Server,
    graph_server,
    naive_server,
    running,
    write_graph_config,
)
from benchmarks.workloads import DIARIZATION, Workload, all_workloads, quick
from config.settings import Size
from voxgraph.options import ModelKey

DEMO_START = "demo-start"
"""The name of the measurement that starts ``config/demo.yaml`` and nothing else."""
TITLE = "Against naive servers"
CORES = os.cpu_count() or 1

Send = Callable[[Sequence[Ask]], Outcome]
"""Gives requests to a side."""


class Bench:
    """Checkpoints of one size, and what has been measured on them.

    Args:
        is_quick: Small networks where the naive libraries can load them.
        rounds: Of each workload.
    """

    def __init__(self, is_quick: bool, rounds: int) -> None:
        self._folder = BUILD / ("quick" if is_quick else "full")
        self._size = Size.DEMO if is_quick else Size.FULL
        # pyannote's own embedding network has one width.
        self._sizes = {key: Size.FULL if key is DIARIZATION else self._size for key in ModelKey}
        self._rounds = rounds
        self.results: list[Result] = []
        self.started: list[Started] = []

    def run(self, workloads: Sequence[Workload]) -> Iterator[None]:
        """Measure, group by group: workloads in a row on the same models share their servers."""
        for (models, replicas), group in itertools.groupby(workloads, lambda one: (one.models, one.replicas)):
            self._run_group(models, replicas or CORES, list(group))
            yield

    def start_demo(self) -> None:
        """Start the demo graph, let it idle, and weigh it."""
        graph = graph_server(DEMO_CONFIG, BUILD)
        with running(graph):
            self._note(DEMO_CONFIG.name, Side.GRAPH, graph, graph.idle_cores())

    def _run_group(self, models: tuple[ModelKey, ...], replicas: int, group: list[Workload]) -> None:
        for key in models:
            written(key, self._sizes[key], self._folder)
        say(f"starting servers of {', '.join(models)}")
        config = write_graph_config(BUILD / "graph.yaml", self._folder, models, self._sizes, replicas)
        graph = graph_server(config, BUILD)
        naive = naive_server(self._folder, models, self._size, BUILD)
        asked = {Side.GRAPH: graph}
        if any(workload.naive for workload in group):
            asked = {Side.NAIVE: naive} | asked
        # They start one after the other, each on a machine that does nothing else.
        with running(*asked.values()):
            idle = {side: server.idle_cores() for side, server in asked.items()}
            self.results += [self._measure(workload, naive, graph) for workload in group]
            what = f"{', '.join(models)}; {replicas} replicas each"
            for side, server in asked.items():
                self._note(what, side, server, idle[side])

    def _measure(self, workload: Workload, naive: Server, graph: Server) -> Result:
        result = Result(workload)
        with contextlib.ExitStack() as stack:
            sides: dict[Side, Send] = {}
            if workload.naive:
                sides[Side.NAIVE] = over_http(workload, naive)
            if workload.job is not None:
                bare = Bare(workload.job, self._folder, self._sizes, bare_cores(workload))
                sides[Side.BARE] = stack.enter_context(bare).measure
            sides[Side.GRAPH] = over_http(workload, graph)
            say(f"{workload.name}: warming up")
            for side, send in sides.items():
                send(workload.warm_up(side is Side.NAIVE))
            for _ in range(self._rounds):
                for side, send in sides.items():
                    outcome = send(workload.sent(side is Side.NAIVE))
                    result.rounds.setdefault(side, []).append(outcome)
                    say(f"{workload.name}, {side}: {outcome.per_s:.3g} per s, {len(outcome.errors)} errors")
        return result

    def _note(self, what: str, side: Side, server: Server, idle_cores: float) -> None:
        self.started.append(Started(what, side, server.ready_s, idle_cores, server.memory_mb()))


def over_http(workload: Workload, server: Server) -> Send:
    """What sends requests of a workload to a server."""
    return lambda asks: closed_loop(server.url, asks, workload.concurrency, workload.background)


def bare_cores(workload: Workload) -> Cores:
    """How the bare engine takes the machine."""
    return Cores(1, workload.bare_threads or CORES) if workload.one_by_one else Cores(CORES, 1)


def say(text: str) -> None:
    """Progress, beside the tables."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Measure what the command line asks for and print the page."""
    names = [workload.name for workload in all_workloads()]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[*names, DEMO_START], default=[*names, DEMO_START])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=300.0, help="of the conversation that is diarized")
    parser.add_argument(
        "--stock-seconds", type=float, default=30.0, help="of what stock pyannote gets, scaled"
    )
    parser.add_argument("--quick", action="store_true", help="small networks, few requests: does it work?")
    parser.add_argument("--write", action="store_true", help=WRITE_HELP)
    options = parser.parse_args()
    # So that a run that is ended leaves no server behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    BUILD.mkdir(parents=True, exist_ok=True)
    if options.quick:
        workloads = [quick(one) for one in all_workloads(15.0, 11.0, 900.0)]
    else:
        workloads = all_workloads(options.seconds, options.stock_seconds)
    rounds = 1 if options.quick else options.rounds
    bench = Bench(options.quick, rounds)
    # Some of it measured anew stands beside the whole, which was one run.
    title = TITLE if set(options.only) > set(names) else f"{TITLE}: {', '.join(options.only)}"
    for _ in bench.run([workload for workload in workloads if workload.name in options.only]):
        if options.write:
            # It takes an hour: one that is ended has kept what it measured.
            keep(title, page(bench.results, bench.started, rounds))
    if DEMO_START in options.only:
        bench.start_demo()
    publish(title, page(bench.results, bench.started, rounds), write=options.write)


if __name__ == "__main__":
    main()
