"""Progress of a run on standard error, in seconds of audio, for people who watch it on a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class Display:
    """A bar for the run and one for each recording in progress; nothing if nobody watches.

    Args:
        recordings: Number of recordings of the run.
        is_shown: Whether somebody watches.
    """

    def __init__(self, recordings: int, *, is_shown: bool) -> None:
        self.is_shown = is_shown
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not is_shown,
            transient=True,
        )
        self._recordings = recordings
        self._bars: dict[str, TaskID] = {}
        self._tasks: dict[str, dict[str, float]] = {}
        self._whole = self._progress.add_task("recordings", total=recordings, state=f"0 of {recordings}")
        self._done = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def start(self, name: str) -> None:
        """Show that a recording is being sent."""
        self._bars[name] = self._progress.add_task(name, total=None, state="sending")

    def advance(self, name: str, task: str, done_s: float, audio_s: float) -> None:
        """Show how many seconds of a recording are done by the task that is furthest behind."""
        tasks = self._tasks.setdefault(name, {})
        tasks[task] = done_s
        done_s = min((done for each, done in tasks.items() if each), default=0.0)
        state = f"{done_s:.0f} of {audio_s:.0f} s"
        self._progress.update(self._bars[name], completed=done_s, total=audio_s or None, state=state)

    def finish(self, name: str) -> None:
        """Show that a recording has its answer or its error."""
        self._progress.remove_task(self._bars.pop(name))
        self._tasks.pop(name, None)
        self._done += 1
        self._progress.update(self._whole, completed=self._done, state=f"{self._done} of {self._recordings}")

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Remove the bars while something else is written to the terminal."""
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()

    def say(self, text: str) -> None:
        """Write a line to standard error, above the bars."""
        if self.is_shown:
            self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=sys.stderr, flush=True)


def is_watched(*, quiet: bool) -> bool:
    """Return whether progress has a reader: standard error is a terminal."""
    return sys.stderr.isatty() and not quiet
