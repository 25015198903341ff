"""The tasks of one question run side by side, and tell what happens."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from deployments.events import MAX_REPORTS, Answer, run_tasks
from deployments.transport.calls import OnProgress
from voxgraph.errors import InferenceError
from voxgraph.options import Task
from voxgraph.results import Progress, TaskAnswer, TaskFailure


async def collect(answers: dict[Task, Answer], parts: dict[Task, int], audio_s: float = 100.0) -> list[Any]:
    return [event async for event in run_tasks(answers, parts, audio_s)]


def after(*turns: asyncio.Event) -> Answer:
    """Answer after some events are set."""

    async def answer(_: OnProgress) -> str:
        for turn in turns:
            await turn.wait()
        return "answer"

    return answer


async def test_answers_come_as_they_are_ready() -> None:
    gate = asyncio.Event()

    async def opens(_: OnProgress) -> int:
        gate.set()
        return 1

    assert await collect({"language": after(gate), "accent": opens}, {}) == [
        TaskAnswer("accent", 1), TaskAnswer("language", "answer"),
    ]  # fmt: skip


async def test_a_task_that_fails_leaves_the_others() -> None:
    error = InferenceError("no luck")

    async def fails(_: OnProgress) -> None:
        raise error

    assert await collect({"language": fails, "accent": after()}, {}) == [
        TaskFailure("language", error), TaskAnswer("accent", "answer"),
    ]  # fmt: skip


@pytest.mark.parametrize("parts", [2, 99, 100, 101, 5760])
async def test_progress_grows_to_the_whole_recording_in_few_steps(parts: int) -> None:
    async def counts(report: OnProgress) -> None:
        for done in range(1, parts + 1):
            report(done)

    *progress, _ = await collect({"deepfake": counts}, {"deepfake": parts}, 14_400.0)

    assert all(isinstance(event, Progress) and event.task == "deepfake" for event in progress)
    done = [event.done_s for event in progress]
    assert done == sorted(set(done))
    assert done[-1] == 14_400.0
    assert min(parts, MAX_REPORTS // 2) <= len(done) <= MAX_REPORTS


async def test_one_part_is_no_progress() -> None:
    async def counts(report: OnProgress) -> None:
        report(1)

    assert await collect({"diarization": counts}, {"diarization": 1}) == [TaskAnswer("diarization", None)]


async def test_a_reader_that_leaves_cancels_what_still_runs() -> None:
    cancelled: list[str] = []

    async def waits(_: OnProgress) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append("diarization")
            raise

    async with aclosing(run_tasks({"accent": after(), "diarization": waits}, {}, 1.0)) as events:
        assert await anext(events) == TaskAnswer("accent", "answer")

    assert cancelled == ["diarization"]


async def test_an_error_that_nobody_foresaw_ends_everything() -> None:
    cancelled = asyncio.Event()

    async def waits(_: OnProgress) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def breaks(_: OnProgress) -> None:
        raise RuntimeError("bug")

    with pytest.raises(RuntimeError, match="bug"):
        await collect({"diarization": waits, "accent": breaks}, {})
    assert cancelled.is_set()
