"""Runs corpora and recipes on two cores, with one progress bar each."""

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
from training.recipes import CORPORA, NETWORKS, RECIPES, select_clips

CACHE = Path("build/training")
REPORT_EVERY = 10


def load_corpus(name: str, report: Callable[[int, int], None]) -> list[Any]:
    """Load a corpus, synthesizing it first if it is not cached."""
    row = CORPORA[name]
    return load_or_make(
        CACHE / f"{name}.npz", lambda: row.make(row.size, row.seed, held_out=row.held_out), report
    )


def train_all(names: list[str], to: Path, progress: Progress) -> None:
    """Run recipes in parallel, each in a single-threaded process, and write checkpoints to `to`."""
    bars = {name: progress_bar(progress, name) for name in names}
    with multiprocessing.Manager() as manager, ProcessPoolExecutor(
        WORKERS, multiprocessing.get_context("spawn")
    ) as pool:  # fmt: skip
        reports = manager.Queue()
        running: set[Future[float]] = {pool.submit(run_recipe, name, to, reports) for name in names}
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


def run_recipe(name: str, to: Path, reports: Any) -> float:
    """Run one recipe in this worker process and return its last loss."""
    import torch

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    recipe = RECIPES[name]
    clips = select_clips(recipe, load_corpus(recipe.corpus, lambda *_: None))
    target = CACHE / f"{name}.pt" if name in NETWORKS else to / name

    def report(step: int, steps: int) -> None:
        if step % REPORT_EVERY == 0 or step == steps:
            reports.put((name, step, steps))

    return recipe.train(clips, target, recipe.steps, recipe.seed, report)


def progress_bar(progress: Progress, name: str) -> Callable[[int, int], None]:
    """Add a progress bar and return its callback, which takes the steps done and the total."""
    return partial(_update, progress, progress.add_task(name, total=None))


def _update(progress: Progress, task: Any, done: int, total: int) -> None:
    progress.update(task, completed=done, total=total)


def progress_display() -> Progress:
    """Create the display of the progress bars."""
    return Progress(
        TextColumn("{task.description:20}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    )
