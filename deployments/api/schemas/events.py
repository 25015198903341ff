"""The data of the events of a streamed answer."""

from typing import Any

from pydantic import BaseModel

from deployments.api.schemas.analysis import LineError
from deployments.api.schemas.common import TimingInfo
from deployments.api.schemas.quality import Noted


class StreamedLine(BaseModel):
    """One event, as a line of NDJSON."""

    event: str
    """``received``, ``progress``, the name of a task, ``task_error``, ``done`` or ``error``."""
    data: dict[str, Any]
    """The object that the event has; that of a task is the one that the JSON answer has in its field."""


class ReceivedData(BaseModel):
    """The recording is decoded and its questions are being answered."""

    audio_duration: float
    """Seconds."""


class ProgressData(BaseModel):
    """Work on one task, in seconds of audio."""

    task: str
    done_s: float
    audio_s: float


class TaskErrorData(LineError):
    """A task that has no answer; the others go on."""

    task: str


class DoneData(TimingInfo, Noted):
    """Every task has its answer or its error; nothing follows."""
