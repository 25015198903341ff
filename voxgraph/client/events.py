"""Events of a streamed answer, and the lines of a batch.

A line of NDJSON is ``{"event": ..., "data": ...}``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voxgraph.client import answers
from voxgraph.client.failures import make_error
from voxgraph.errors import VoxError
from voxgraph.results import Analysis, AnalysisEvent, Progress, Received, TaskAnswer, TaskFailure


@dataclass(frozen=True, slots=True)
class Done:
    """Every task has its answer or its error; nothing follows."""

    audio_duration_s: float
    processing_time_s: float


@dataclass(frozen=True, slots=True)
class OtherEvent:
    """An event that this client does not know, of a newer server."""

    name: str
    data: Any


Event = AnalysisEvent | Done | OtherEvent


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """One recording of a batch: its answer or its error."""

    index: int
    """Position of the recording in the question."""
    filename: str
    analysis: Analysis | None
    error: VoxError | None


def event(line: Mapping[str, Any]) -> Event:
    """Read one line of a streamed answer.

    Raises:
        VoxError: The event is the error of the whole question.
    """
    name, data = line["event"], line["data"]
    match name:
        case "received":
            return Received(data["audio_duration"])
        case "progress":
            return Progress(data["task"], data["done_s"], data["audio_s"])
        case "task_error":
            return TaskFailure(data["task"], make_error(data["detail"], data.get("code")))
        case "done":
            return Done(data["audio_duration"], data["processing_time"])
        case "error":
            raise make_error(data["detail"], data.get("code"), request_id=data.get("request_id"))
    return TaskAnswer(name, answers.TASKS[name](data)) if name in answers.TASKS else OtherEvent(name, data)


def batch_line(line: Mapping[str, Any]) -> BatchAnswer:
    """Read one line of the answer to a batch."""
    answer, failure = line.get("answer"), line.get("error")
    return BatchAnswer(
        index=line["index"],
        filename=line["filename"],
        analysis=None if answer is None else answers.analysis(answer),
        error=None if failure is None else make_error(failure["detail"], failure.get("code")),
    )
