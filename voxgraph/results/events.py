"""What happens while several questions about one recording are answered, in the order in which it happens."""

from dataclasses import dataclass
from typing import Any

from voxgraph.errors import VoxError


@dataclass(frozen=True, slots=True)
class Received:
    """The recording has arrived, and its questions are being answered."""

    audio_duration_s: float


@dataclass(frozen=True, slots=True)
class Progress:
    """Work on a task: `done_s` of `audio_s` seconds of audio are done."""

    task: str
    done_s: float
    audio_s: float


@dataclass(frozen=True, slots=True)
class TaskAnswer:
    """The answer of one task."""

    task: str
    result: Any
    """The record of the task, as in the field of `Analysis` of this name."""


@dataclass(frozen=True, slots=True)
class TaskFailure:
    """A task has no answer; the others go on."""

    task: str
    error: VoxError


AnalysisEvent = Received | Progress | TaskAnswer | TaskFailure
