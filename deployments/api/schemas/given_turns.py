"""The request body of turns that are to be written in another format."""

from typing import Annotated

from pydantic import BaseModel, Field

from deployments.api.schemas.common import example

Seconds = Annotated[float, Field(ge=0.0, le=1e8)]
Label = Annotated[str, Field(max_length=200)]


class GivenTurn(BaseModel):
    """A turn of an answer, which the writers of `voxgraph.formats` take as it is."""

    start: Seconds
    end: Seconds
    speaker: Label
    confidence: Annotated[float, Field(ge=0.0, le=1.0)] | None = None

    @property
    def start_s(self) -> float:
        """Seconds from the start of the recording."""
        return self.start

    @property
    def end_s(self) -> float:
        """Seconds from the start of the recording."""
        return self.end


class GivenTurns(BaseModel):
    """An answer about who speaks when, with the names to write; its other fields are not read."""

    model_config = example(
        diarization_results=[{"start": 0.031, "end": 2.41, "speaker": "SPEAKER_00"}], audio_duration=30.0,
        uri="meeting", names={"SPEAKER_00": "Ann"},
    )  # fmt: skip

    diarization_results: list[GivenTurn]
    audio_duration: Seconds
    """Seconds of the recording."""
    uri: Label = ""
    """Name of the recording or of its file; RTTM has a place for it."""
    names: dict[Label, Label] = {}
    """Name to write in place of a speaker's label."""
