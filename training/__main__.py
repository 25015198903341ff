"""``python -m training``: make the demo checkpoints again, from espeak-ng and flite, on two cores."""

import argparse
import multiprocessing
import shutil
import sys
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

SYNTHESIZERS = ("espeak-ng", "flite")
CACHE = Path("build/training")
REPORTED_EVERY = 10


def main() -> int:
    """Synthesize, train, assemble; 1 where a synthesizer is missing."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--to", type=Path, default=Path("checkpoints/demo"), help="where checkpoints go")
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=list(RECIPES), help="some recipes")
    options = parser.parse_args()
    missing = [name for name in SYNTHESIZERS if shutil.which(name) is None]
    if missing:
        print(f"not installed: {', '.join(missing)} (Debian's packages of these names)", file=sys.stderr)
        return 1
    with _progress() as progress:
        for name in sorted({RECIPES[recipe].corpus for recipe in options.only}):
            corpus(name, bar(progress, name))
        train(options.only, options.to, progress)
    if set(options.only) & set(NETWORKS):
        from training import diarization

        recipe = RECIPES["embedding"]
        clips = chosen(recipe, corpus(recipe.corpus, lambda *_: None))
        diarization.assemble(clips, *(CACHE / f"{name}.pt" for name in NETWORKS), options.to, recipe.seed)
    return 0


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


def _progress() -> Progress:
    return Progress(TextColumn("{task.description:20}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())


if __name__ == "__main__":
    sys.exit(main())
