"""Bodies of the endpoints that are compatible with pyannoteAI's web API; their names are its own."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from voxgraph.graph import JobStatus, StoredJob
from voxgraph.options import MAX_SPEAKERS, SpeakerCount
from voxgraph.results import DiarizationResult, Turn

KEPT = "Recordings and jobs are kept in memory for an hour, or as long as the service is configured to."
MEDIA_URL = r"^media://[A-Za-z0-9_./-]{1,200}$"
_Speakers = Annotated[int | None, Field(ge=1, le=MAX_SPEAKERS)]


class _Body(BaseModel):
    """A body that refuses unknown fields: what they ask for would not happen."""

    model_config = ConfigDict(extra="forbid")


def _check_url(url: str) -> str:
    if not url.startswith("media://"):
        raise ValueError(
            "The service fetches nothing from other hosts; upload the recording to a media:// URL first."
        )
    return url


class MediaInput(_Body):
    """Asks for an address to which a recording can be uploaded."""

    url: str = Field(pattern=MEDIA_URL)
    """Name of the recording; an older one of this name is replaced."""


class MediaAddress(BaseModel):
    """The address to which a recording is to be PUT."""

    url: str
    warning: str = KEPT


class DiarizeRequest(_Body):
    """Asks for a diarization."""

    url: Annotated[str, Field(pattern=MEDIA_URL)]
    model: str | None = None
    """Ignored: the pipeline of the service answers, and is named in the output."""
    numSpeakers: _Speakers = None  # noqa: N815
    minSpeakers: _Speakers = None  # noqa: N815
    maxSpeakers: _Speakers = None  # noqa: N815
    turnLevelConfidence: bool = False  # noqa: N815
    exclusive: bool = False
    confidence: bool = False
    transcription: bool = False
    transcriptionConfig: JsonValue = None  # noqa: N815
    webhook: str | None = None

    @field_validator("url", mode="before")
    @classmethod
    def _is_ours(cls, url: Any) -> Any:
        return _check_url(url) if isinstance(url, str) else url

    @field_validator("confidence")
    @classmethod
    def _has_no_samples(cls, confidence: bool) -> bool:
        if confidence:
            raise ValueError(
                "Here only turns have one: turnLevelConfidence. /diarize has that of frames: frames=true."
            )
        return confidence

    @field_validator("transcription", "transcriptionConfig", "webhook")
    @classmethod
    def _is_not_there(cls, value: Any) -> Any:
        if value:
            raise ValueError("The service neither transcribes nor calls webhooks; ask for the job instead.")
        return value

    @property
    def speakers(self) -> SpeakerCount:
        """The bounds of the number of speakers; raises `InvalidOptions`."""
        return SpeakerCount(self.numSpeakers, self.minSpeakers, self.maxSpeakers)


class JobAnswer(BaseModel):
    """A job that was created."""

    jobId: str  # noqa: N815
    status: JobStatus
    warning: str = KEPT


class JobDetails(JobAnswer):
    """A job and, if it has ended, its output."""

    createdAt: datetime  # noqa: N815
    updatedAt: datetime  # noqa: N815
    output: JsonValue = None
    """``diarization``, with `exclusive` also ``exclusiveDiarization``; of a job that failed, ``error``."""

    @classmethod
    def from_job(cls, job: StoredJob, output: JsonValue) -> "JobDetails":
        """Build the answer."""
        return cls(
            jobId=job.id,
            status=job.status,
            createdAt=datetime.fromtimestamp(job.created_at, UTC),
            updatedAt=datetime.fromtimestamp(job.updated_at, UTC),
            output=output,
        )


class OkAnswer(BaseModel):
    """Says that a key, or a recording, is accepted."""

    status: str = "OK"
    message: str = KEPT


def output_of(result: DiarizationResult, request: DiarizeRequest, model: str) -> dict[str, Any]:
    """Return the output of a job that succeeded."""
    output: dict[str, Any] = {"diarization": _segments(result.turns, request.turnLevelConfidence)}
    if request.exclusive:
        exclusive = _segments(result.exclusive_turns, request.turnLevelConfidence)
        output["exclusiveDiarization"] = exclusive
    return output | {"warning": f"Diarized by {model}. {KEPT}"}


def _segments(turns: Sequence[Turn], has_confidence: bool) -> list[dict[str, Any]]:
    return [
        {"speaker": turn.speaker, "start": round(turn.start_s, 3), "end": round(turn.end_s, 3)}
        | ({"confidence": _confidence(turn)} if has_confidence else {})
        for turn in turns
    ]


def _confidence(turn: Turn) -> dict[str, int]:
    """Return the confidence in percent by speaker; empty where the segmentation gives none."""
    return {} if turn.confidence is None else {turn.speaker: round(100 * turn.confidence)}
