"""Two versions of the graph in alternation: ``python -m benchmarks.compare old=../before new=.``.

Each side is a checkout with an environment of its own in ``.venv``. Both graphs serve the same full-size
checkpoints at the same time; in each round one after the other answers the same kinds of requests, so that
what disturbs the machine disturbs both. A side may set environment variables: ``off=../before:FEW=0``.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.checkpoints import written
from benchmarks.load import Outcome, closed_loop
from benchmarks.report import cpu_name, number, table
from benchmarks.results import WRITE_HELP, publish
from benchmarks.servers import BUILD, Server, running
from benchmarks.workloads import EMBED, VOICES
from config.settings import Size

REPLICAS = 2
"""Replicas of each model."""
TITLES = ["callers", "repeated", "side", "sent", "per s", "p50 s", "p95 s", "p99 s", "of the first", "failed"]
WRITE_CONFIG = """
import sys
from pathlib import Path
from benchmarks.servers import write_graph_config
from voxgraph.options import ModelKey
from config.settings import Size
config, folder, replicas, *models = sys.argv[1:]
keys, sizes = [ModelKey(model) for model in models], dict.fromkeys(ModelKey, Size.FULL)
write_graph_config(Path(config), Path(folder), keys, sizes, int(replicas))
"""
"""Each checkout writes its own configuration: deployments may differ between them."""


@dataclass(slots=True)
class Side:
    """A checkout whose graph is measured."""

    name: str
    checkout: Path
    variables: dict[str, str]
    outcomes: dict[int, list[Outcome]] = field(default_factory=dict)
    """One for each round, by number of callers."""

    @classmethod
    def parse(cls, text: str) -> "Side":
        """Read ``name=checkout`` or ``name=checkout:VARIABLE=value,...``."""
        name, _, rest = text.partition("=")
        checkout, _, variables = rest.partition(":")
        pairs = [pair.split("=", 1) for pair in variables.split(",") if pair]
        return cls(name, Path(checkout).resolve(), dict(pairs))

    def server(self, folder: Path) -> Server:
        """The graph of this side on the checkpoints of a folder."""
        python = self.checkout / ".venv" / "bin" / "python"
        config = BUILD / f"compare-{self.name}.yaml"
        subprocess.run(
            [python, "-W", "ignore", "-c", WRITE_CONFIG, config, folder, str(REPLICAS), *VOICES],
            cwd=self.checkout, check=True,
        )  # fmt: skip
        return Server(
            ["-m", "deployments", str(config)], "Ctrl-C stops.", BUILD / f"compare-{self.name}.log",
            python=python, folder=self.checkout, variables=self.variables,
        )  # fmt: skip


def rows(sides: Sequence[Side], callers: int, repeated: float) -> list[list[str]]:
    """One row of the table for each side."""
    first = sides[0].outcomes[callers]
    return [_row(side, side.outcomes[callers], first, callers, repeated) for side in sides]


def _row(
    side: Side, outcomes: Sequence[Outcome], first: Sequence[Outcome], callers: int, repeated: float
) -> list[str]:
    seconds = [s for outcome in outcomes for s in outcome.latencies_s.get(EMBED, [])]
    ratios = [ours.per_s / theirs.per_s for ours, theirs in zip(outcomes, first, strict=True)]
    return [
        str(callers), f"{repeated:.0%}", side.name, str(sum(outcome.requests for outcome in outcomes)),
        number(median(outcome.per_s for outcome in outcomes)),
        *(number(float(np.percentile(seconds, percent))) for percent in (50, 95, 99)),
        f"{median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})",
        str(sum(len(outcome.errors) for outcome in outcomes)),
    ]  # fmt: skip


def main() -> None:
    """Measure the sides that the command line names and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("sides", nargs="+", type=Side.parse, metavar="NAME=CHECKOUT[:VARIABLE=VALUE,...]")
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0, help="that a round takes for each side, about")
    parser.add_argument("--repeated", type=float, default=0.0, help="share of requests that were sent before")
    parser.add_argument("--title", default="Two versions in alternation")
    parser.add_argument("--write", action="store_true", help=WRITE_HELP)
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    folder = BUILD / "full"
    for key in VOICES:
        written(key, Size.FULL, folder)
    servers = [side.server(folder) for side in options.sides]
    per_s = {callers: 5.0 if callers == 1 else 10.0 for callers in options.callers}
    with running(*servers):
        for number_of_round in range(options.rounds + 1):
            for callers in options.callers:
                asks = [EMBED] * max(2 * callers, round(options.seconds * per_s[callers]))
                order = list(zip(options.sides, servers, strict=True))
                for side, server in order if number_of_round % 2 else reversed(order):
                    outcome = closed_loop(server.url, asks, callers, repeated=options.repeated)
                    print(number_of_round, callers, side.name, f"{outcome.per_s:.2f} per s", file=sys.stderr)
                    if number_of_round:  # The first is the warm-up.
                        side.outcomes.setdefault(callers, []).append(outcome)
        weights = [
            f"{side.name} {sum(mb for _, mb in server.memory_mb().values()):.0f} MB"
            for side, server in zip(options.sides, servers, strict=True)
        ]
    told = (
        f"{cpu_name()}, {os.cpu_count()} cores; `/extract-embedding` of {EMBED.seconds:g} s clips, "
        f"{REPLICAS} replicas of each model, {options.rounds} rounds; *of the first*: median and range of "
        f"the ratios within a round. Memory (PSS): {', '.join(weights)}."
    )
    lines = [row for callers in options.callers for row in rows(options.sides, callers, options.repeated)]
    publish(options.title, f"{told}\n\n{table(TITLES, lines)}", write=options.write)


if __name__ == "__main__":
    main()
