"""The response bodies of a diarization."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel

from deployments.api.schemas.common import ProcessingInfo, example
from deployments.api.schemas.decisions import DecisionAnswer
from deployments.api.schemas.quality import EXAMPLE, Noted
from voxgraph.results import DiarizationResult, Embedding, FrameConfidence


class TurnAnswer(BaseModel):
    """A span in which one speaker talks, in seconds."""

    start: float
    end: float
    speaker: str
    confidence: float | None = None
    """Mean probability, 0..1, that the speaker talks in the frames of the turn; null if there is none."""


class SpeakerEmbedding(BaseModel):
    """The voice of a speaker in the space of one encoder, with a length of 1."""

    embedding: list[float]
    model: str
    revision: str


class FrameConfidenceAnswer(BaseModel):
    """The probability that each speaker talks, frame by frame."""

    start: float
    """Middle of the first frame in seconds."""
    step: float
    """Seconds from one frame to the next."""
    data: dict[str, str]
    """For each speaker base64 of a byte a frame: 0 to 255 for 0 to 1."""

    @classmethod
    def from_result(cls, frames: FrameConfidence) -> Self:
        """Encode the bytes."""
        data = {speaker: b64encode(frames.values(speaker).tobytes()).decode() for speaker in frames.packed}
        return cls(start=round(frames.start_s, 6), step=frames.step_s, data=data)


class TurnsAnswer(BaseModel):
    """The turns of a recording and its speakers."""

    diarization_results: list[TurnAnswer]
    segments_count: int
    speakers: list[str]
    speakers_requested: int | None = None
    """The number of speakers that was asked for, at least; null without such an option."""
    speakers_note: str | None = None
    """Why fewer were found than asked for; null otherwise."""
    speaker_embeddings: dict[str, SpeakerEmbedding] | None = None
    """With `embeddings=true`: the mean embedding of each speaker who has one."""
    frame_confidence: FrameConfidenceAnswer | None = None
    """With `frames=true`."""
    identities: dict[str, DecisionAnswer] | None = None
    """With `gallery`: for each speaker, who then has a name, what was decided about the voice."""

    @classmethod
    def from_result(cls, result: DiarizationResult, **processing: Any) -> Self:
        """Build the answer with times rounded to milliseconds."""
        turns = [
            TurnAnswer(
                start=round(turn.start_s, 3),
                end=round(turn.end_s, 3),
                speaker=turn.speaker,
                confidence=None if turn.confidence is None else round(turn.confidence, 3),
            )
            for turn in result.turns
        ]
        return cls(
            diarization_results=turns,
            segments_count=len(turns),
            speakers=list(result.speakers),
            speakers_requested=result.speakers_requested,
            speakers_note=result.speakers_note,
            speaker_embeddings=None if result.embeddings is None else _embeddings(result.embeddings),
            frame_confidence=None
            if result.frames is None
            else FrameConfidenceAnswer.from_result(result.frames),
            identities=None
            if result.identities is None
            else {name: DecisionAnswer.from_result(found) for name, found in result.identities.items()},
            **processing,
        )


def _embeddings(found: Mapping[str, Embedding]) -> dict[str, SpeakerEmbedding]:
    return {
        speaker: SpeakerEmbedding(embedding=voice.vector.tolist(), model=voice.model, revision=voice.revision)
        for speaker, voice in found.items()
    }


class DiarizationAnswer(TurnsAnswer, ProcessingInfo, Noted):
    """The turns of a recording, its speakers and the processing time."""

    model_config = example(
        diarization_results=[{"start": 0.031, "end": 2.41, "speaker": "SPEAKER_00", "confidence": 0.94}],
        segments_count=1, speakers=["SPEAKER_00"], processing_time=1.2, audio_duration=30.0,
        model_device="cpu", quality=EXAMPLE,
    )  # fmt: skip
