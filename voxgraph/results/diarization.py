"""Who spoke when."""

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Turn:
    """One speaker talks from `start_s` to `end_s` (seconds from the start of the recording)."""

    start_s: float
    end_s: float
    speaker: str
    """``SPEAKER_00``, ``SPEAKER_01``, ... in order of first appearance."""


@dataclass(frozen=True, slots=True)
class DiarizationResult:
    """Who spoke when."""

    turns: tuple[Turn, ...]
    """Sorted by start; turns of different speakers may overlap."""
    exclusive_turns: tuple[Turn, ...]
    """The same without overlap, for aligning transcripts: at most one speaker at any time."""
    speakers: tuple[str, ...]
    """The speakers found, sorted."""

    def without_short_turns(self, min_duration_s: float) -> "DiarizationResult":
        """Remove turns shorter than `min_duration_s` seconds, and speakers who then have no turn."""
        turns, exclusive = (
            tuple(turn for turn in kept if turn.end_s - turn.start_s >= min_duration_s)
            for kept in (self.turns, self.exclusive_turns)
        )
        return DiarizationResult(turns, exclusive, tuple(sorted({turn.speaker for turn in turns})))

    def named(self, names: Mapping[str, str]) -> "DiarizationResult":
        """Write names in place of labels; two speakers with one name become one."""
        turns, exclusive = (
            tuple(replace(turn, speaker=names.get(turn.speaker, turn.speaker)) for turn in kept)
            for kept in (self.turns, self.exclusive_turns)
        )
        speakers = tuple(dict.fromkeys(names.get(label, label) for label in self.speakers))
        return replace(self, turns=turns, exclusive_turns=exclusive, speakers=speakers)


@dataclass(frozen=True, slots=True)
class DiarizationProgress:
    """Progress of the diarization of a long recording."""

    done: int
    """Number of parts that are done."""
    parts: int
    """Number of parts, each of `pipelines.chunking.PART_WINDOWS` windows of 10 s with a hop of 1 s. The
    clustering at the end is not counted."""
