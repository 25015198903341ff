"""The notes about a recording that every answer about it carries."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from deployments.api.schemas.common import example
from voxgraph.results import Quality

EXAMPLE: dict[str, Any] = {
    "duration_s": 3.2, "speech_s": 2.6, "clipped_ratio": 0.0, "snr_db": 31.5, "bandwidth_hz": 7812,
    "sample_rate": 44100, "channels": 1, "channels_mixed": None, "channels_differ": False, "missing_s": 0.0,
    "damaged_s": 0.0, "warnings": ["2.6 s of speech: too short to trust an accent, a language or a voice."],
}  # fmt: skip
"""Example for the documentation of the answers."""


class QualityAnswer(BaseModel):
    """How well a recording can be heard; `voxgraph.results.Quality` has the definitions."""

    model_config = example(**EXAMPLE) | ConfigDict(from_attributes=True)

    duration_s: float
    speech_s: float | None = None
    """Seconds of speech that were found; null if nobody looked, or it cannot be told."""
    clipped_ratio: float
    """Share of clipped samples, 0..1."""
    snr_db: float | None = None
    """Decibels of the sound over the noise, at most 60; null if nothing stands out."""
    bandwidth_hz: int | None = None
    """Highest frequency with content, at most 8000; null for digital silence."""
    sample_rate: int
    """Sample rate of the file in Hz."""
    channels: int
    channels_mixed: str | None = None
    """``mean``, ``loudest`` where the mean cancels, ``channel 0`` and so on; null for one channel."""
    channels_differ: bool
    """Whether the mean of the channels is much weaker than the mean of equal channels would be."""
    missing_s: float
    """Seconds for which the file has no samples, as silence."""
    damaged_s: float
    """Seconds that could not be decoded, as silence."""
    warnings: list[str]
    """What makes the answer less certain, in sentences with their figures."""

    @classmethod
    def from_result(cls, quality: Quality) -> "QualityAnswer":
        """Build the notes with seconds rounded to milliseconds."""
        notes = cls.model_validate(quality)
        for name in ("duration_s", "speech_s", "missing_s", "damaged_s"):
            if (seconds := getattr(notes, name)) is not None:
                setattr(notes, name, round(seconds, 3))
        notes.clipped_ratio = round(notes.clipped_ratio, 6)
        notes.snr_db = None if notes.snr_db is None else round(notes.snr_db, 1)
        return notes


class Noted(BaseModel):
    """An answer with the notes about its recording."""

    quality: QualityAnswer
