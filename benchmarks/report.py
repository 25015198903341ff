"""The tables, in Markdown that reads well in a terminal too."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.metadata import version
from statistics import median

import numpy as np
import psutil

from benchmarks.load import Ask, Outcome
from benchmarks.workloads import Workload
from pipelines.engines.processor import fields

PACKAGES = (
    "torch", "openvino", "ray", "fastapi", "speechbrain", "transformers", "pyannote.audio", "numpy",
)  # fmt: skip
NONE = "-"


class Side(StrEnum):
    """Who answers."""

    NAIVE = "naive"
    BARE = "bare engine"
    GRAPH = "graph"


@dataclass(slots=True)
class Result:
    """All rounds of one workload."""

    workload: Workload
    rounds: dict[Side, list[Outcome]] = field(default_factory=dict)

    def ratio(self, side: Side, other: Side, ask: Ask) -> float | None:
        """Median over the rounds of how many times as fast a side is as another; rounds are pairs."""
        pairs = zip(self.rounds.get(side, ()), self.rounds.get(other, ()), strict=False)
        speeds = [(self.per_s(side, ours, ask), self.per_s(other, theirs, ask)) for ours, theirs in pairs]
        ratios = [ours / theirs for ours, theirs in speeds if theirs]
        return median(ratios) if ratios else None

    def per_s(self, side: Side, outcome: Outcome, ask: Ask) -> float:
        """Answers to one kind of request in a second; of the naive side scaled to the whole recording."""
        if len(set(self.workload.asks)) > 1:
            return len(outcome.latencies_s.get(ask, ())) / outcome.wall_s
        return outcome.per_s / self._scale(side)

    def percentile(self, side: Side, ask: Ask, percent: float) -> float | None:
        """Seconds, of all rounds together."""
        sent = self.workload.stock if side is Side.NAIVE and self.workload.stock else ask
        seconds = [s for outcome in self.rounds.get(side, ()) for s in outcome.latencies_s.get(sent, ())]
        return float(np.percentile(seconds, percent)) * self._scale(side) if seconds else None

    def _scale(self, side: Side) -> float:
        return self.workload.stock_scale if side is Side.NAIVE else 1.0


@dataclass(frozen=True, slots=True)
class Started:
    """One server as it stood ready."""

    what: str
    side: Side
    ready_s: float
    idle_cores: float
    memory_mb: dict[str, tuple[int, float]]
    """Processes and memory by kind, once all workloads were done."""


def page(results: Sequence[Result], started: Sequence[Started], rounds: int) -> str:
    """Everything that was measured, with the machine."""
    parts = [
        f"{rounds} rounds, in each of them all sides one after the other. {machine()}",
        speed_notes(results),
        table(SPEED_TITLES, [row for result in results for row in speed_rows(result)]),
        START_NOTES,
        table(START_TITLES, [start_row(one) for one in started]),
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
    "Start and memory (proportional share, PSS, after the load). The naive server is one process with the "
    "same models. While the naive server and the bare engine are measured the graph is up, and takes the "
    "share of the cores that stands under *idle cores*."
)


def speed_notes(results: Sequence[Result]) -> str:
    """What the columns mean."""
    text = (
        "Seconds are a client's, of all rounds; *per s* is the median of the rounds, the ratios are medians "
        "of the ratios within a round. *Bare engine*: our pipelines in a loop, a process of one thread per "
        "core with the best batches, or one process with all cores where a recording is taken at a time."
    )
    scaled = [result.workload for result in results if result.workload.stock]
    for workload in scaled:
        assert workload.stock is not None
        text += (
            f" *{workload.name}*: the naive server got {workload.stock.seconds:g} s instead of "
            f"{workload.asks[0].seconds:g} s; its figures are scaled by the number of windows, "
            f"x {workload.stock_scale:.2f}."
        )
    return text


def speed_rows(result: Result) -> list[list[str]]:
    """A row per kind of request and side."""
    asks = list(dict.fromkeys(result.workload.asks))
    return [_speed_row(result, side, ask, len(asks) > 1) for ask in asks for side in result.rounds]


def _speed_row(result: Result, side: Side, ask: Ask, name_the_ask: bool) -> list[str]:
    workload, outcomes = result.workload, result.rounds[side]
    percentiles = [result.percentile(side, ask, percent) for percent in (50, 95, 99)]
    naive_p99 = result.percentile(Side.NAIVE, ask, 99)
    is_graph = side is Side.GRAPH
    of_p99 = percentiles[2] / naive_p99 if is_graph and percentiles[2] and naive_p99 else None
    return [
        workload.name + (f" {ask.path} {ask.seconds:g} s" if name_the_ask else ""),
        side + (" (scaled)" if side is Side.NAIVE and workload.stock else ""),
        str(sum(outcome.requests for outcome in outcomes)),
        number(median(result.per_s(side, outcome, ask) for outcome in outcomes)),
        *map(number, percentiles),
        number(result.ratio(side, Side.NAIVE, ask) if is_graph else None),
        number(of_p99),
        number(result.ratio(side, Side.BARE, ask) if is_graph else None),
    ]


def start_row(started: Started) -> list[str]:
    """A row of the table of starts."""
    by_size = sorted(started.memory_mb.items(), key=lambda item: -item[1][1])
    each = [f"{f'{count} x ' if count > 1 else ''}{name} {mb / count:.0f}" for name, (count, mb) in by_size]
    total = sum(mb for _, mb in started.memory_mb.values())
    return [
        started.what, started.side, f"{started.ready_s:.0f}", f"{started.idle_cores:.2f}", f"{total:.0f}",
        ", ".join(each),
    ]  # fmt: skip


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose columns are aligned; the last is as wide as it is."""
    widths = [max(len(row[column]) for row in [titles, *rows]) for column in range(len(titles) - 1)]
    lines = [titles, ["-" * width for width in (*widths, 3)], *rows]
    return "\n".join(
        "| " + " | ".join([*map(str.ljust, line[:-1], widths), line[-1]]) + " |" for line in lines
    )


def number(value: float | None) -> str:
    """Three significant digits."""
    if value is None:
        return NONE
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def machine() -> str:
    """Processor, threads, memory and versions, in a sentence each."""
    cores = os.cpu_count()
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{cpu_name()}, {cores} cores, {psutil.virtual_memory().total / 1e9:.0f} GB, Python "
        f"{platform.python_version()}, {versions}. The naive server's torch takes {cores} threads, a replica "
        f"of the graph 1; the client runs on the same cores."
    )


def cpu_name() -> str:
    """As the kernel names it, with what it can do in fewer bits; clouds hide all of a name but its maker."""
    values = fields()
    if not values:
        return platform.processor()
    numbers = [f"{key.split()[-1]} {values[key]}" for key in ("cpu family", "model") if key in values]
    flags = values.get("flags", "").split()
    bits = [flag for flag in ("amx_bf16", "avx512_bf16", "avx512f") if flag in flags]
    name, details = values.get("model name", platform.machine()), ", ".join([*numbers, *bits])
    return f"{name} ({details})" if details else name
