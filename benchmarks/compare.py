"""Compare two versions of the graph in alternation: ``python -m benchmarks.compare old=../before new=.``.

Each side is a checkout with its own environment in ``.venv``. Both graphs run at the same time on the same
full-size checkpoints and take turns within each round, so that any disturbance of the machine affects both.
A side may set environment variables: ``new=.:NAME=value,OTHER=value``.
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

from benchmarks.checkpoints import ensure_checkpoint
from benchmarks.load import Outcome, closed_loop
from benchmarks.report import cpu_name, format_number, table
from benchmarks.results import WRITE_HELP, publish
from benchmarks.servers import BUILD, Server, running
from benchmarks.workloads import EMBED, VOICES
from config.settings import Size

REPLICAS = 2
"""Number of replicas of each model."""
TITLES = ["callers", "repeated", "side", "sent", "per s", "p50 s", "p95 s", "p99 s", "of the first", "failed"]
WRITE_CONFIG = """
import sys
from pathlib import Path
from benchmarks.servers import ModelKey, Size, write_graph_config
config, folder, replicas, *models = sys.argv[1:]
keys, sizes = [ModelKey(model) for model in models], dict.fromkeys(ModelKey, Size.FULL)
write_graph_config(Path(config), Path(folder), keys, sizes, int(replicas))
"""
"""Program that each checkout runs to write its configuration, since deployments may differ between them."""


@dataclass(slots=True)
class Side:
    """A checkout whose graph is measured."""

    name: str
    checkout: Path
    variables: dict[str, str]
    outcomes: dict[int, list[Outcome]] = field(default_factory=dict)
    """Outcomes of the rounds by number of callers."""

    @classmethod
    def parse(cls, text: str) -> "Side":
        """Parse ``name=checkout`` or ``name=checkout:VARIABLE=value,...``."""
        name, _, rest = text.partition("=")
        checkout, _, variables = rest.partition(":")
        pairs = [pair.split("=", 1) for pair in variables.split(",") if pair]
        return cls(name, Path(checkout).resolve(), dict(pairs))

    @property
    def python(self) -> Path:
        """The interpreter of the checkout."""
        return self.checkout / ".venv" / "bin" / "python"

    def write_config(self, folder: Path) -> Path:
        """Have the checkout write the configuration of its graph."""
        config = BUILD / f"compare-{self.name}.yaml"
        subprocess.run(
            [self.python, "-W", "ignore", "-c", WRITE_CONFIG, config, folder, str(REPLICAS), *VOICES],
            cwd=self.checkout, check=True,
        )  # fmt: skip
        return config

    def server(self, config: Path) -> Server:
        """Return the server of this side, not started yet."""
        return Server(
            ["-m", "deployments", str(config)], "Ctrl-C stops.", BUILD / f"compare-{self.name}.log",
            python=self.python, folder=self.checkout, variables=self.variables,
        )  # fmt: skip


def rows(sides: Sequence[Side], callers: int, repeated: float) -> list[list[str]]:
    """Return one row of the table for each side."""
    first = sides[0].outcomes[callers]
    return [_row(side, side.outcomes[callers], first, callers, repeated) for side in sides]


def _row(
    side: Side, outcomes: Sequence[Outcome], first: Sequence[Outcome], callers: int, repeated: float
) -> list[str]:
    seconds = [s for outcome in outcomes for s in outcome.latencies_s.get(EMBED, [])]
    ratios = [ours.per_s / theirs.per_s for ours, theirs in zip(outcomes, first, strict=True)]
    return [
        str(callers), f"{repeated:.0%}", side.name, str(sum(outcome.requests for outcome in outcomes)),
        format_number(median(outcome.per_s for outcome in outcomes)),
        *(format_number(float(np.percentile(seconds, percent))) for percent in (50, 95, 99)),
        f"{median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})",
        str(sum(len(outcome.errors) for outcome in outcomes)),
    ]  # fmt: skip


def main() -> None:
    """Measure the sides named on the command line and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("sides", nargs="+", type=Side.parse, metavar="NAME=CHECKOUT[:VARIABLE=VALUE,...]")
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0, help="approximate seconds of a round per side")
    parser.add_argument(
        "--repeated", type=float, default=0.0, help="share of requests that repeat an earlier one"
    )
    parser.add_argument("--title", default="Two versions in alternation")
    parser.add_argument("--write", action="store_true", help=WRITE_HELP)
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    folder = BUILD / "full"
    for key in VOICES:
        ensure_checkpoint(key, Size.FULL, folder)
    servers = [side.server(side.write_config(folder)) for side in options.sides]
    per_s = {callers: 5.0 if callers == 1 else 10.0 for callers in options.callers}
    with running(*servers):
        for round_number in range(options.rounds + 1):
            for callers in options.callers:
                kinds = [EMBED] * max(2 * callers, round(options.seconds * per_s[callers]))
                order = list(zip(options.sides, servers, strict=True))
                for side, server in order if round_number % 2 else reversed(order):
                    outcome = closed_loop(server.url, kinds, callers, repeated=options.repeated)
                    print(round_number, callers, side.name, f"{outcome.per_s:.2f} per s", file=sys.stderr)
                    if round_number:  # Round 0 is the warm-up.
                        side.outcomes.setdefault(callers, []).append(outcome)
        memory = [
            f"{side.name} {sum(mb for _, mb in server.memory_mb().values()):.0f} MB"
            for side, server in zip(options.sides, servers, strict=True)
        ]
    summary = (
        f"{cpu_name()}, {os.cpu_count()} cores; `/extract-embedding` of {EMBED.seconds:g} s clips, "
        f"{REPLICAS} replicas of each model, {options.rounds} rounds; *of the first*: median and range of "
        f"the ratios within a round. Memory (PSS): {', '.join(memory)}."
    )
    lines = [row for callers in options.callers for row in rows(options.sides, callers, options.repeated)]
    publish(options.title, f"{summary}\n\n{table(TITLES, lines)}", write=options.write)


if __name__ == "__main__":
    main()
