"""``python -m evaluation DATA``: evaluate a graph on labelled recordings; see docs/evaluation.md."""

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import httpx2
from rich.console import Console

from evaluation.asking import CONCURRENCY
from evaluation.errors import EvaluationError
from evaluation.report import MARKDOWN, Report
from evaluation.run import Options, Plan, evaluate, make_plan
from evaluation.running_graph import started
from voxgraph.client.settings import api_key
from voxgraph.errors import InvalidOptions
from voxgraph.options import TASKS, Task

OUT = Path("build/evaluation")
CONNECT_LIMIT_S = 10.0
INTERRUPTED = 128 + signal.SIGINT
"""Exit status after Ctrl-C, by the convention of shells."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate, print the report and write it; return 1 if there is nothing to report."""
    parser = argparse.ArgumentParser(prog="python -m evaluation", description=__doc__)
    parser.add_argument("data", type=Path, help="folder with manifest.tsv, or RTTM files beside recordings")
    parser.add_argument("--out", type=Path, default=OUT, help=f"folder of the report (default {OUT})")
    graph = parser.add_mutually_exclusive_group()
    graph.add_argument("--url", help="ask the graph that runs here, instead of starting one")
    graph.add_argument("--config", type=Path, help="configuration file of the graph to start")
    parser.add_argument("--only", type=_tasks, default=TASKS, help=f"questions, of {','.join(TASKS)}")
    parser.add_argument("--limit", type=_positive_int, help="clips of one source for one question, at most")
    parser.add_argument(
        "--cut", type=_positive_float, help="cut clips to this many seconds; drop shorter ones"
    )
    parser.add_argument(
        "--concurrency", type=_positive_int, default=CONCURRENCY, help="recordings in progress"
    )
    given = parser.parse_args(arguments)
    if not given.url and not given.config:
        parser.error("--url or --config is required")
    options = Options(given.only, given.limit, given.cut, given.concurrency)
    try:
        plan = make_plan(given.data, options)
        _check_writable(given.out)
        with contextlib.nullcontext(given.url) if given.url else started(given.config) as url:
            report = asyncio.run(_evaluate(url, plan))
    except (EvaluationError, InvalidOptions) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; there is no report.", file=sys.stderr)
        return INTERRUPTED
    report.write(given.out)
    print(report.markdown())
    print(f"The report, its plots and every answer are in {given.out}: {MARKDOWN} is this text.")
    return 0 if report.sections else 1


async def _evaluate(url: str, plan: Plan) -> Report:
    # The graph has deadlines of its own, which are longer for conversations.
    timeout = httpx2.Timeout(None, connect=CONNECT_LIMIT_S)
    headers = {} if (key := api_key()) is None else {"authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(base_url=url, timeout=timeout, headers=headers) as client:
        return await evaluate(client, plan, Console(stderr=True))


def _check_writable(folder: Path) -> None:
    """Find out before the work whether the report can be written after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise EvaluationError(f"The report cannot be written to {folder}: {error.strerror}.") from error


def _tasks(value: str) -> tuple[Task, ...]:
    names = [name.strip() for name in value.split(",") if name.strip()]
    if not names or set(names) - set(TASKS):
        raise argparse.ArgumentTypeError(f"questions are {', '.join(TASKS)}; got {value!r}")
    return tuple(name for name in TASKS if name in names)


def _positive_int(value: str) -> int:
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError("it must be at least 1")
    return number


def _positive_float(value: str) -> float:
    number = float(value)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("it must be more than 0")
    return number


if __name__ == "__main__":
    # Without this, the graph would go on after the evaluation was terminated.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
