"""The response bodies of a diarization."""

from typing import Any, Self

from pydantic import BaseModel

from deployments.api.schemas.common import ProcessingInfo, example
from deployments.api.schemas.quality import EXAMPLE, Noted
from voxgraph.results import DiarizationResult


class TurnAnswer(BaseModel):
    """A span in which one speaker talks, in seconds."""

    start: float
    end: float
    speaker: str


class TurnsAnswer(BaseModel):
    """The turns of a recording and its speakers."""

    diarization_results: list[TurnAnswer]
    segments_count: int
    speakers: list[str]
    speakers_requested: int | None = None
    """The number of speakers that was asked for, at least; null without such an option."""
    speakers_note: str | None = None
    """Why fewer were found than asked for; null otherwise."""

    @classmethod
    def from_result(cls, result: DiarizationResult, **processing: Any) -> Self:
        """Build the answer with times rounded to milliseconds."""
        turns = [
            TurnAnswer(start=round(turn.start_s, 3), end=round(turn.end_s, 3), speaker=turn.speaker)
            for turn in result.turns
        ]
        return cls(
            diarization_results=turns,
            segments_count=len(turns),
            speakers=list(result.speakers),
            speakers_requested=result.speakers_requested,
            speakers_note=result.speakers_note,
            **processing,
        )


class DiarizationAnswer(TurnsAnswer, ProcessingInfo, Noted):
    """The turns of a recording, its speakers and the processing time."""

    model_config = example(
        diarization_results=[{"start": 0.031, "end": 2.41, "speaker": "SPEAKER_00"}], segments_count=1,
        speakers=["SPEAKER_00"], processing_time=1.2, audio_duration=30.0, model_device="cpu",
        quality=EXAMPLE,
    )  # fmt: skip
