"""Options of a question: models, tasks, chunks of a recording and its number of speakers."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, get_args

from voxgraph.errors import InvalidOptions


class ModelKey(StrEnum):
    """One key per model of the graph."""

    LANGUAGE = "language"
    SPEAKER_VOXCELEB = "speaker_voxceleb"
    SPEAKER_CNCELEB = "speaker_cnceleb"
    ACCENT_XLSR = "accent_xlsr"
    ACCENT_ECAPA = "accent_ecapa"
    DEEPFAKE = "deepfake"
    DIARIZATION_31 = "diarization_31"
    DIARIZATION_COMMUNITY_1 = "diarization_community_1"


AccentModel = Literal["xlsr", "ecapa"]
Task = Literal["language", "speaker", "accent", "diarization", "deepfake"]
TASKS: tuple[Task, ...] = get_args(Task)
"""Every task, in the order of the fields of `Analysis`."""

DEADLINE_S = 60.0
"""Default deadline of a question in seconds, except for questions that include diarization."""
DIARIZATION_DEADLINE_S = 1800.0
"""Default deadline in seconds of a question that includes diarization."""
MIN_CHUNK_S, MAX_CHUNK_S = 1.0, 30.0
MAX_OVERLAP = 0.9
MAX_SPEAKERS = 100
OperatingPoint = Literal["lenient", "balanced", "strict"]
"""Target rate of false accepts in a comparison of voices: 1e-2, 1e-3, 1e-4."""
DEFAULT_ACTOR = "python"
"""Who asks by handle, in the ledger."""
DEFAULT_TENANT = "default"
"""Whose galleries a graph without API keys keeps."""


@dataclass(frozen=True, slots=True)
class ChunkOptions:
    """How a recording is cut into chunks for the deepfake model.

    Raises:
        InvalidOptions: A value is out of range.
    """

    chunk_s: float = 5.0
    """Length of a chunk in seconds, 1 to 30."""
    overlap: float = 0.5
    """Fraction of a chunk that the next chunk repeats, 0 to 0.9: the hop is ``chunk_s * (1 - overlap)``."""

    def __post_init__(self) -> None:
        _check("chunk_s", self.chunk_s, MIN_CHUNK_S, MAX_CHUNK_S)
        _check("overlap", self.overlap, 0.0, MAX_OVERLAP)


@dataclass(frozen=True, slots=True)
class SpeakerCount:
    """What the caller knows about the number of speakers, each 1 to 100; None means unknown.

    Raises:
        InvalidOptions: A value is out of range, or the bounds exclude each other.
    """

    num_speakers: int | None = None
    """The exact number; it overrides the bounds."""
    min_speakers: int | None = None
    max_speakers: int | None = None

    def __post_init__(self) -> None:
        for name in ("num_speakers", "min_speakers", "max_speakers"):
            if getattr(self, name) is not None:
                _check(name, getattr(self, name), 1, MAX_SPEAKERS)
        low, high = self.bounds
        if low > high:
            raise InvalidOptions(f"min_speakers is {low}, more than max_speakers, {high}.")

    @property
    def bounds(self) -> tuple[int, float]:
        """Smallest and largest number of speakers; the largest may be infinite."""
        if self.num_speakers is not None:
            return self.num_speakers, self.num_speakers
        return self.min_speakers or 1, self.max_speakers or math.inf

    @property
    def least(self) -> int | None:
        """The number of speakers that the caller asks for at least; None: any."""
        return self.num_speakers or self.min_speakers


@dataclass(frozen=True, slots=True)
class Place:
    """A gallery, and on whose behalf it is asked."""

    gallery: str
    tenant: str = DEFAULT_TENANT
    """Whose gallery it is; over HTTP that of the API key."""
    actor: str = DEFAULT_ACTOR
    """Name for the ledger; over HTTP that of the API key."""


@dataclass(frozen=True, slots=True)
class Matching:
    """How a voice is matched with those of a gallery."""

    operating_point: OperatingPoint | None = None
    """None: as the gallery's policy says."""
    purpose: str | None = None
    """What the answer is for; who did not consent to it is not compared. None: for no named purpose."""
    top_n: int = 3
    """Candidates in an answer, 1 to 20."""


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InvalidOptions(f"{name} is {value}; it must be between {low:g} and {high:g}.")
