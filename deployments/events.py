"""Run the tasks of one question side by side, and tell what happens as it happens. No Ray."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from typing import Any, TypeVar

from deployments.transport.concurrency import OnProgress, gather_or_cancel
from voxgraph.errors import VoxError
from voxgraph.options import Task
from voxgraph.results import AnalysisEvent, Progress, TaskAnswer, TaskFailure

MAX_REPORTS = 100
"""Most events of progress of one task: a recording of hours has thousands of chunks."""

T = TypeVar("T")
Answer = Callable[[OnProgress], Coroutine[Any, Any, Any]]
"""Answers a task, and calls its argument with the number of parts or chunks that are done."""


async def run_tasks(
    answers: Mapping[Task, Answer], parts: Mapping[Task, int], audio_s: float
) -> AsyncGenerator[AnalysisEvent]:
    """Run tasks side by side; yield progress, and each answer or error when it is there.

    Closing the generator early cancels the tasks that still run, and so their calls in the replicas.

    Args:
        answers: How each task is answered.
        parts: Number of parts of the tasks that report progress.
        audio_s: Duration of the recording in seconds.

    Raises:
        Exception: What a task raised, if it is no `VoxError`.
    """
    events: asyncio.Queue[AnalysisEvent | None] = asyncio.Queue()

    async def run(task: Task, answer: Answer) -> None:
        report = _progress(task, parts.get(task, 1), audio_s, events.put_nowait)
        try:
            result = await answer(report)
        except VoxError as error:
            events.put_nowait(TaskFailure(task, error))
        else:
            events.put_nowait(TaskAnswer(task, result))

    work = asyncio.create_task(gather_or_cancel(*(run(task, answer) for task, answer in answers.items())))
    work.add_done_callback(lambda _: events.put_nowait(None))
    try:
        while (event := await events.get()) is not None:
            yield event
        await work
    finally:
        work.cancel()
        await asyncio.wait([work])


def once(compute: Callable[[], Coroutine[Any, Any, T]]) -> Callable[[], Coroutine[Any, Any, T]]:
    """Return a function whose callers share one computation, for a result that several tasks need."""
    shared: asyncio.Task[T] | None = None

    async def result() -> T:
        nonlocal shared
        if shared is None:
            shared = asyncio.create_task(compute())
        return await shared

    return result


def _progress(task: Task, parts: int, audio_s: float, tell: Callable[[AnalysisEvent], None]) -> OnProgress:
    """Return a function that tells the seconds of audio that are done, `MAX_REPORTS` times at most."""
    step = max(1, -(-parts // MAX_REPORTS))

    def report(done: int) -> None:
        if parts > 1 and (done % step == 0 or done == parts):
            tell(Progress(task, round(audio_s * done / parts, 3), round(audio_s, 3)))

    return report
