"""Format results as Markdown that is also readable in a terminal."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.metadata import version
from statistics import median

import numpy as np
import psutil

from benchmarks.load import Outcome, RequestKind
from benchmarks.workloads import Workload
from pipelines.engines.processor import read_cpuinfo

PACKAGES = (
    "torch", "openvino", "ray", "fastapi", "speechbrain", "transformers", "pyannote.audio", "numpy",
)  # fmt: skip
NONE = "-"


class Side(StrEnum):
    """Side of the comparison that answers the requests."""

    NAIVE = "naive"
    BARE = "bare engine"
    GRAPH = "graph"


@dataclass(slots=True)
class Result:
    """All rounds of one workload."""

    workload: Workload
    rounds: dict[Side, list[Outcome]] = field(default_factory=dict)

    def ratio(self, side: Side, other: Side, kind: RequestKind) -> float | None:
        """Return the speed of one side relative to another: the median of the ratios within each round."""
        pairs = zip(self.rounds.get(side, ()), self.rounds.get(other, ()), strict=False)
        speeds = [(self.per_s(side, ours, kind), self.per_s(other, theirs, kind)) for ours, theirs in pairs]
        ratios = [ours / theirs for ours, theirs in speeds if theirs]
        return median(ratios) if ratios else None

    def per_s(self, side: Side, outcome: Outcome, kind: RequestKind) -> float:
        """Return answers per second to one kind of request; a stock recording is scaled to the whole one."""
        if len(set(self.workload.kinds)) > 1:
            return len(outcome.latencies_s.get(kind, ())) / outcome.wall_s
        return outcome.per_s / self._scale(side)

    def percentile(self, side: Side, kind: RequestKind, percent: float) -> float | None:
        """Return a percentile of the latencies of all rounds, in seconds."""
        sent = self.workload.stock if side is Side.NAIVE and self.workload.stock else kind
        seconds = [s for outcome in self.rounds.get(side, ()) for s in outcome.latencies_s.get(sent, ())]
        return float(np.percentile(seconds, percent)) * self._scale(side) if seconds else None

    def _scale(self, side: Side) -> float:
        return self.workload.stock_scale if side is Side.NAIVE else 1.0


@dataclass(frozen=True, slots=True)
class ServerStats:
    """Start time, idle CPU and memory of one server."""

    what: str
    side: Side
    ready_s: float
    idle_cores: float
    memory_mb: dict[str, tuple[int, float]]
    """Number of processes and their memory (MB) by kind, after all workloads."""


def page(results: Sequence[Result], servers: Sequence[ServerStats], rounds: int) -> str:
    """Format all results, with a description of the machine."""
    parts = [
        f"{rounds} rounds, in each of them all sides one after the other. {machine()}",
        speed_notes(results),
        table(SPEED_TITLES, [row for result in results for row in speed_rows(result)]),
        START_NOTES,
        table(START_TITLES, [start_row(server) for server in servers]),
    ]
    errors = [
        f"- {result.workload.name}, {side}: {len(outcome.errors)} of {outcome.requests}: {outcome.errors[0]}"
        for result in results
        for side, outcomes in result.rounds.items()
        for outcome in outcomes
        if outcome.errors
    ]
    return "\n\n".join([*parts, *(["Requests that failed:", "\n".join(errors)] if errors else [])]) + "\n"


SPEED_TITLES = (
    "workload", "side", "sent", "per s", "p50 s", "p95 s", "p99 s", "x naive", "p99 of naive's", "of bare"
)  # fmt: skip
START_TITLES = ("graph of", "side", "ready after s", "idle cores", "MB in all", "MB each")
START_NOTES = (
    "Start time and memory (proportional set size, PSS, after the load). The naive server is one process "
    "with the same models. The graph is running while the naive server and the bare engine are measured, "
    "and uses the cores given as *idle cores*."
)


def speed_notes(results: Sequence[Result]) -> str:
    """Explain the columns."""
    text = (
        "Seconds are measured by the client, over all rounds; *per s* is the median of the rounds, ratios "
        "are medians of the ratios within a round. *Bare engine*: our pipelines in a loop, in a process per "
        "core (one thread, best batch size) or in one process on all cores, one recording at a time."
    )
    scaled = [result.workload for result in results if result.workload.stock]
    for workload in scaled:
        assert workload.stock is not None
        text += (
            f" *{workload.name}*: the naive server got {workload.stock.seconds:g} s instead of "
            f"{workload.kinds[0].seconds:g} s; its figures are scaled by the number of windows, "
            f"x {workload.stock_scale:.2f}."
        )
    return text


def speed_rows(result: Result) -> list[list[str]]:
    """Return a row per kind of request and side."""
    kinds = list(dict.fromkeys(result.workload.kinds))
    return [_speed_row(result, side, kind, len(kinds) > 1) for kind in kinds for side in result.rounds]


def _speed_row(result: Result, side: Side, kind: RequestKind, name_the_kind: bool) -> list[str]:
    workload, outcomes = result.workload, result.rounds[side]
    percentiles = [result.percentile(side, kind, percent) for percent in (50, 95, 99)]
    naive_p99 = result.percentile(Side.NAIVE, kind, 99)
    is_graph = side is Side.GRAPH
    of_p99 = percentiles[2] / naive_p99 if is_graph and percentiles[2] and naive_p99 else None
    return [
        workload.name + (f" {kind.path} {kind.seconds:g} s" if name_the_kind else ""),
        side + (" (scaled)" if side is Side.NAIVE and workload.stock else ""),
        str(sum(outcome.requests for outcome in outcomes)),
        format_number(median(result.per_s(side, outcome, kind) for outcome in outcomes)),
        *map(format_number, percentiles),
        format_number(result.ratio(side, Side.NAIVE, kind) if is_graph else None),
        format_number(of_p99),
        format_number(result.ratio(side, Side.BARE, kind) if is_graph else None),
    ]


def start_row(server: ServerStats) -> list[str]:
    """Return a row of the table of servers."""
    by_size = sorted(server.memory_mb.items(), key=lambda item: -item[1][1])
    each = [f"{f'{count} x ' if count > 1 else ''}{name} {mb / count:.0f}" for name, (count, mb) in by_size]
    total = sum(mb for _, mb in server.memory_mb.values())
    return [
        server.what, server.side, f"{server.ready_s:.0f}", f"{server.idle_cores:.2f}", f"{total:.0f}",
        ", ".join(each),
    ]  # fmt: skip


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table with aligned columns; the last column is not padded."""
    widths = [max(len(row[column]) for row in [titles, *rows]) for column in range(len(titles) - 1)]
    lines = [titles, ["-" * width for width in (*widths, 3)], *rows]
    return "\n".join(
        "| " + " | ".join([*map(str.ljust, line[:-1], widths), line[-1]]) + " |" for line in lines
    )


def format_number(value: float | None) -> str:
    """Format a number with three significant digits; None as a dash."""
    if value is None:
        return NONE
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def machine() -> str:
    """Describe the machine: processor, cores, memory, versions and threads."""
    cores = os.cpu_count()
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{cpu_name()}, {cores} cores, {psutil.virtual_memory().total / 1e9:.0f} GB, Python "
        f"{platform.python_version()}, {versions}. torch has {cores} threads in the naive server, 1 in a "
        f"replica of the graph; the client runs on the same cores."
    )


def cpu_name() -> str:
    """Return the processor's name with family, model and low-precision flags; clouds hide its model name."""
    values = read_cpuinfo()
    if not values:
        return platform.processor()
    numbers = [f"{key.split()[-1]} {values[key]}" for key in ("cpu family", "model") if key in values]
    flags = values.get("flags", "").split()
    features = [flag for flag in ("amx_bf16", "avx512_bf16", "avx512f") if flag in flags]
    name, details = values.get("model name", platform.machine()), ", ".join([*numbers, *features])
    return f"{name} ({details})" if details else name
