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
    speakers_requested: int | None = None
    """The number of speakers that the caller asked for, at least; None without such a number."""
    speakers_note: str | None = None
    """Why fewer speakers were found than requested; None otherwise."""

    def with_request(self, requested: int | None, most_at_once: int, windows: int) -> "DiarizationResult":
        """Add how many speakers were requested, and if fewer were found, why.

        Args:
            requested: The number that the caller asked for, at least.
            most_at_once: The largest number of speakers that the segmentation tells apart in one window.
            windows: Number of windows of 10 s.
        """
        found, note = len(self.speakers), None
        if requested is not None and found < requested:
            apart = f"the segmentation tells at most {_speakers(most_at_once)} apart"
            if not found:
                note = "No speech was found in the recording, so it has no speakers."
            elif windows == 1:
                note = f"Found {found} of {_speakers(requested)}: in this recording {apart}."
            else:
                note = (
                    f"Found {found} of {_speakers(requested)}: in any 10 s of this recording {apart}, and "
                    "all its voices form no more groups that have turns of their own."
                )
        return replace(self, speakers_requested=requested, speakers_note=note)

    def without_short_turns(self, min_duration_s: float) -> "DiarizationResult":
        """Remove turns shorter than `min_duration_s` seconds, and speakers who then have no turn."""
        turns, exclusive = (
            tuple(turn for turn in kept if turn.end_s - turn.start_s >= min_duration_s)
            for kept in (self.turns, self.exclusive_turns)
        )
        speakers, note = tuple(sorted({turn.speaker for turn in turns})), self.speakers_note
        if len(speakers) < min(len(self.speakers), self.speakers_requested or 0):
            short = f"All turns of {_speakers(len(self.speakers) - len(speakers))} are shorter than the "
            note = f"{note or ''} {short}requested minimum of {min_duration_s:g} s.".lstrip()
        return replace(self, turns=turns, exclusive_turns=exclusive, speakers=speakers, speakers_note=note)

    def named(self, names: Mapping[str, str]) -> "DiarizationResult":
        """Write names in place of labels; two speakers with one name become one."""
        turns, exclusive = (
            tuple(replace(turn, speaker=names.get(turn.speaker, turn.speaker)) for turn in kept)
            for kept in (self.turns, self.exclusive_turns)
        )
        speakers = tuple(dict.fromkeys(names.get(label, label) for label in self.speakers))
        return replace(self, turns=turns, exclusive_turns=exclusive, speakers=speakers)


def _speakers(number: int) -> str:
    return f"{number} speaker" if number == 1 else f"{number} speakers"
