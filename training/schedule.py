"""Corpora and recipes, run on two cores with a line of progress each."""

import multiprocessing
import warnings
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from functools import partial
from pathlib import Path
from queue import Empty
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from training.corpus import WORKERS, load_or_make
from training.recipes import CORPORA, NETWORKS, RECIPES, chosen

CACHE = Path("build/training")
REPORTED_EVERY = 10


def corpus(name: str, report: Callable[[int, int], None]) -> list[Any]:
    """The clips of a corpus, synthesized where they are not in the cache."""
    row = CORPORA[name]
    return load_or_make(
        CACHE / f"{name}.npz", lambda: row.make(row.size, row.seed, held_out=row.held_out), report
    )


def train(names: list[str], to: Path, progress: Progress) -> None:
    """Run recipes in processes of one thread each."""
    bars = {name: bar(progress, name) for name in names}
    with multiprocessing.Manager() as manager, ProcessPoolExecutor(
        WORKERS, multiprocessing.get_context("spawn")
    ) as pool:  # fmt: skip
        reports = manager.Queue()
        running: set[Future[float]] = {pool.submit(run, name, to, reports) for name in names}
        while running:
            done, running = wait(running, timeout=1, return_when=FIRST_COMPLETED)
            while True:
                try:
                    name, step, steps = reports.get_nowait()
                except Empty:
                    break
                bars[name](step, steps)
            for future in done:
                future.result()


def run(name: str, to: Path, reports: Any) -> float:
    """One recipe, in a process of its own."""
    import torch

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    recipe = RECIPES[name]
    clips = chosen(recipe, corpus(recipe.corpus, lambda *_: None))
    target = CACHE / f"{name}.pt" if name in NETWORKS else to / name

    def report(step: int, steps: int) -> None:
        if step % REPORTED_EVERY == 0 or step == steps:
            reports.put((name, step, steps))

    return recipe.train(clips, target, recipe.steps, recipe.seed, report)


def bar(progress: Progress, name: str) -> Callable[[int, int], None]:
    """A line of the display; it is told how many of how many are done."""
    return partial(_update, progress, progress.add_task(name, total=None))


def _update(progress: Progress, task: Any, done: int, total: int) -> None:
    progress.update(task, completed=done, total=total)


def display() -> Progress:
    """Where the lines of progress stand."""
    return Progress(
        TextColumn("{task.description:20}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    )
