"""What a caller may say beside the recording, in the query or the form: names, ranges, defaults."""

from typing import Annotated, Any

from pydantic import BaseModel, Field, field_validator, model_validator

from voxgraph.options import (
    MAX_CHUNK_S,
    MAX_OVERLAP,
    MAX_SPEAKERS,
    MIN_CHUNK_S,
    TASKS,
    ChunkOptions,
    SpeakerCount,
    Task,
)
from voxgraph.similarity import DEFAULT_THRESHOLD

_CHUNKS = ChunkOptions()
_Speakers = Annotated[int | None, Field(ge=1, le=MAX_SPEAKERS)]


class EmbeddingOptions(BaseModel):
    """Of ``/embedding``."""

    normalize: bool = Field(True, description="Scale the embedding to length 1.")


class ComparisonOptions(BaseModel):
    """Of every endpoint that compares two voices."""

    threshold: float = Field(
        DEFAULT_THRESHOLD, ge=-1.0, le=1.0, description="Cosine above which two voices are one speaker's."
    )


class AccentOptions(BaseModel):
    """Of ``/identify``."""

    detail: bool = Field(False, description="Add the accent found and the probability of every accent.")


class SpeakerOptions(BaseModel):
    """Of every endpoint that tells speakers apart; `num_speakers` overrides the bounds."""

    num_speakers: _Speakers = Field(None, description="Exactly so many speakers.")
    min_speakers: _Speakers = Field(None, description="At least so many speakers.")
    max_speakers: _Speakers = Field(None, description="At most so many speakers.")

    @model_validator(mode="after")
    def _check_bounds(self) -> "SpeakerOptions":
        _ = self.speakers  # raises InvalidOptions
        return self

    @property
    def speakers(self) -> SpeakerCount:
        """As the analyzer takes it."""
        return SpeakerCount(
            num_speakers=self.num_speakers, min_speakers=self.min_speakers, max_speakers=self.max_speakers
        )


class DiarizationOptions(SpeakerOptions):
    """Of ``/diarize``."""

    min_duration: float = Field(0.0, ge=0.0, description="Leave out turns that are shorter, in seconds.")


class DeepfakeOptions(BaseModel):
    """Of every endpoint that looks for generated speech."""

    chunk_duration: float = Field(
        _CHUNKS.chunk_s, ge=MIN_CHUNK_S, le=MAX_CHUNK_S, description="Seconds of one chunk."
    )
    overlap: float = Field(
        _CHUNKS.overlap, ge=0.0, le=MAX_OVERLAP, description="Share that two chunks have in common."
    )

    @property
    def chunks(self) -> ChunkOptions:
        """As the analyzer takes it."""
        return ChunkOptions(chunk_s=self.chunk_duration, overlap=self.overlap)


class AnalyzeOptions(SpeakerOptions, DeepfakeOptions):
    """Of ``/v1/analyze``."""

    tasks: tuple[Task, ...] = Field(TASKS, min_length=1, description="The questions, separated by commas.")

    @field_validator("tasks", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value
