"""Options of the endpoints, from the query or the form: names, ranges, defaults."""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, WithJsonSchema, field_validator, model_validator

from voxgraph.errors import InvalidOptions
from voxgraph.formats import FORMATS, one_line
from voxgraph.options import (
    MAX_CHUNK_S,
    MAX_OVERLAP,
    MAX_SPEAKERS,
    MIN_CHUNK_S,
    TASKS,
    ChunkOptions,
    Matching,
    ModelKey,
    SpeakerCount,
    Task,
)
from voxgraph.results import DiarizationResult, OperatingPoint
from voxgraph.similarity import DEFAULT_THRESHOLD

MAX_PEAKS_PER_S = 100
"""Most pairs of peaks per second of a recording: 270 bytes of the answer."""
_CHUNKS = ChunkOptions()
MAX_NAME_CHARS = 256
"""Length of a speaker's name, at most: it is repeated in every turn."""
_PURPOSE = "What the answer is for; who did not consent to it is not compared."
_Speakers = Annotated[int | None, Field(ge=1, le=MAX_SPEAKERS)]


class RecordingOptions(BaseModel):
    """Options of every endpoint that takes a recording."""

    channel: int | None = Field(
        None, ge=0, description="Channel to take, counted from 0; by default all of them, mixed."
    )

    @property
    def diarizes(self) -> bool:
        """Whether the question includes diarization, which has a deadline of its own."""
        return False


_ALLOW_NO_SPEECH = "Whether to answer about a recording in which nobody speaks, instead of refusing it."


class SpeechOptions(RecordingOptions):
    """Options of every endpoint that answers about speech; the endpoints of the old services refuse none."""

    allow_no_speech: bool = Field(True, description=_ALLOW_NO_SPEECH)


class FormatOptions(BaseModel):
    """Options of every endpoint whose answer can be written in other formats than JSON."""

    format: Annotated[str | None, WithJsonSchema({"type": "string", "enum": list(FORMATS)})] = Field(
        None, description="Format of the answer; by default the header Accept decides."
    )


class TurnFormatOptions(FormatOptions):
    """Options of every endpoint that answers turns, as a file, in JSON or streamed."""

    stream: bool = Field(False, description="Stream the answer as NDJSON; so does the header Accept.")
    names: Annotated[
        dict[str, str], WithJsonSchema({"type": "string", "contentMediaType": "application/json"})
    ] = Field({}, description='Names of speakers in place of their labels, as JSON: {"SPEAKER_00": "Ann"}.')

    @field_validator("names", mode="before")
    @classmethod
    def _parse_names(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError) as error:
            raise ValueError('Not JSON; names look like {"SPEAKER_00": "Ann"}.') from error

    @field_validator("names")
    @classmethod
    def _check_names(cls, names: dict[str, str]) -> dict[str, str]:
        if len(names) > MAX_SPEAKERS or any(len(name) > MAX_NAME_CHARS for name in names.values()):
            raise ValueError(f"At most {MAX_SPEAKERS} names of {MAX_NAME_CHARS} characters are taken.")
        return {label: shown for label, name in names.items() if (shown := one_line(name))}


class LanguageOptions(SpeechOptions):
    """Options of every endpoint that detects the language."""

    languages: tuple[str, ...] = Field(
        (),
        description="Codes of the languages that may be spoken, separated by commas, such as en,de,zh; "
        "by default all that the model knows.",
    )

    @field_validator("languages", mode="before")
    @classmethod
    def _split_languages(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(part.strip().lower() for part in value.split(","))


class RoutingOptions(LanguageOptions):
    """Options of every endpoint that embeds a voice."""

    encoder: Literal["voxceleb", "cnceleb"] | None = Field(
        None, description="Encoder that embeds the voice; by default the language decides."
    )

    @property
    def encoder_key(self) -> ModelKey | None:
        """The named encoder, for the analyzer."""
        return None if self.encoder is None else ModelKey(f"speaker_{self.encoder}")


class EmbeddingOptions(RoutingOptions):
    """Options of ``/embedding``."""

    normalize: bool = Field(True, description="Scale the embedding to length 1.")


class ComparisonOptions(RoutingOptions):
    """Options of every endpoint that compares two voices."""

    threshold: float = Field(
        DEFAULT_THRESHOLD, ge=-1.0, le=1.0, description="Cosine similarity above which two voices match."
    )


class VerificationOptions(RoutingOptions):
    """Options of ``/v1/speaker/compare``."""

    allow_no_speech: bool = Field(False, description=_ALLOW_NO_SPEECH)
    threshold: float | None = Field(
        None,
        ge=-1.0,
        le=1.0,
        description="Cosine similarity above which two voices match; by default that of the encoder's "
        f"calibration, or {DEFAULT_THRESHOLD} without one.",
    )


class AccentOptions(SpeechOptions):
    """Options of ``/identify``."""

    detail: bool = Field(False, description="Add the accent and the probability of every accent.")


class SpeakerCountOptions(RecordingOptions):
    """How many people may speak; `num_speakers` overrides the bounds."""

    num_speakers: _Speakers = Field(None, description="Exact number of speakers.")
    min_speakers: _Speakers = Field(None, description="Minimum number of speakers.")
    max_speakers: _Speakers = Field(None, description="Maximum number of speakers.")

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        _ = self.speakers  # raises InvalidOptions
        return self

    @property
    def diarizes(self) -> bool:
        """Whether the question includes diarization: always."""
        return True

    @property
    def speakers(self) -> SpeakerCount:
        """The bounds of the number of speakers, for the analyzer."""
        return SpeakerCount(
            num_speakers=self.num_speakers, min_speakers=self.min_speakers, max_speakers=self.max_speakers
        )


class SpeakerOptions(SpeakerCountOptions):
    """Options of every endpoint that diarizes."""

    exclusive: bool = Field(False, description="Give turns without overlap: one speaker at any time.")
    embeddings: bool = Field(False, description="Add the mean embedding of each speaker.")
    frames: bool = Field(False, description="Add the confidence of each speaker frame by frame.")
    gallery: str | None = Field(None, description="Gallery that names the speakers.")
    purpose: str | None = Field(None, max_length=200, description=_PURPOSE)

    def shown(self, found: DiarizationResult) -> DiarizationResult:
        """Return what is asked for of a result."""
        return found.only(exclusive=self.exclusive, embeddings=self.embeddings, frames=self.frames)


class DiarizationOptions(SpeakerOptions, TurnFormatOptions):
    """Options of ``/diarize``."""

    min_duration: float = Field(0.0, ge=0.0, description="Leave out turns shorter than this, in seconds.")
    channels: Literal["mix", "separate"] = Field(
        "mix", description="`separate`: each channel is a speaker, as in calls with one line per channel."
    )

    @model_validator(mode="after")
    def _check_channels(self) -> Self:
        if self.channels == "separate":
            others = ("channel", "num_speakers", "min_speakers", "max_speakers")
            if given := [name for name in others if getattr(self, name) is not None]:
                raise InvalidOptions(
                    f"channels=separate takes every channel as one speaker; it does not go with "
                    f"{' and '.join(given)}."
                )
        return self

    def shown(self, found: DiarizationResult) -> DiarizationResult:
        """Return what is asked for of a result."""
        return super().shown(found).without_short_turns(self.min_duration).named(self.names)


class EnrolmentOptions(RecordingOptions):
    """Options of an enrolment."""

    diarized_speaker: str | None = Field(
        None, description="Whose voice of several to take, such as SPEAKER_01; by default there is only one."
    )


class DecisionOptions(RecordingOptions):
    """Options of every endpoint that decides about a voice."""

    operating_point: OperatingPoint | None = Field(
        None, description="How rare false accepts are to be; by default that of the gallery."
    )
    purpose: str | None = Field(None, max_length=200, description=_PURPOSE)

    @property
    def matching(self) -> Matching:
        """How the voice is matched."""
        return Matching(self.operating_point, self.purpose)


class VerificationInGalleryOptions(DecisionOptions):
    """Options of a verification."""

    speaker: str = Field(description="External id of the speaker that somebody claims to be.")


class IdentificationOptions(DecisionOptions, SpeakerCountOptions):
    """Options of an identification."""

    top_n: int = Field(3, ge=1, le=20, description="Candidates in the answer, at most.")
    diarize: bool = Field(False, description="Whether several people may speak; each of them is identified.")

    @property
    def matching(self) -> Matching:
        """How the voices are matched."""
        return Matching(self.operating_point, self.purpose, self.top_n)


class DeepfakeOptions(SpeechOptions):
    """Options of every endpoint that detects generated speech."""

    chunk_duration: float = Field(
        _CHUNKS.chunk_s, ge=MIN_CHUNK_S, le=MAX_CHUNK_S, description="Length of a chunk in seconds."
    )
    overlap: float = Field(
        _CHUNKS.overlap, ge=0.0, le=MAX_OVERLAP, description="Overlapping share of two successive chunks."
    )

    @property
    def chunks(self) -> ChunkOptions:
        """Length and overlap of the chunks, for the analyzer."""
        return ChunkOptions(chunk_s=self.chunk_duration, overlap=self.overlap)


class BatchOptions(SpeakerOptions, DeepfakeOptions, RoutingOptions):
    """Options of ``/v1/batch``."""

    allow_no_speech: bool = Field(False, description=_ALLOW_NO_SPEECH)
    tasks: tuple[Task, ...] = Field(TASKS, min_length=1, description="Tasks to run, separated by commas.")
    peaks: int | None = Field(
        None,
        ge=1,
        le=MAX_PEAKS_PER_S,
        description="Pairs of minimum and maximum per second of the waveform to add, for drawing it.",
    )

    @field_validator("tasks", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    @property
    def diarizes(self) -> bool:
        """Whether diarization is among the tasks."""
        return "diarization" in self.tasks


class AnalyzeOptions(BatchOptions, TurnFormatOptions):
    """Options of ``/v1/analyze``."""

    def shown(self, found: DiarizationResult) -> DiarizationResult:
        """Return what is asked for of a result."""
        return super().shown(found).named(self.names)


class DeepfakeFileOptions(DeepfakeOptions, FormatOptions):
    """Options of ``/audio/analyze-audio``."""
