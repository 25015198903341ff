"""Who spoke when."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from voxgraph.results.gallery import Decision, VoiceDecision
from voxgraph.results.speaker import Embedding

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Turn:
    """One speaker talks from `start_s` to `end_s` (seconds from the start of the recording)."""

    start_s: float
    end_s: float
    speaker: str
    """``SPEAKER_00``, ``SPEAKER_01``, ... in order of first appearance; ``CHANNEL_0`` and so on where each
    channel is a speaker."""
    confidence: float | None = None
    """Mean probability, 0..1, that the speaker talks in the frames of the turn: that of the segmentation,
    averaged over its windows. None if there is none."""


@dataclass(frozen=True, slots=True)
class FrameConfidence:
    """Probability that each speaker talks, frame by frame."""

    start_s: float
    """Middle of the first frame, in seconds from the start of the recording."""
    step_s: float
    """Seconds from one frame to the next."""
    packed: Mapping[str, bytes]
    """For each speaker, `values` as deflated bytes."""

    @classmethod
    def pack(
        cls, start_s: float, step_s: float, values: Mapping[str, npt.NDArray[np.uint8]]
    ) -> "FrameConfidence":
        """Pack the `values` of each speaker; they are mostly 0 and 255."""
        packed = {speaker: zlib.compress(kept.tobytes(), 1) for speaker, kept in values.items()}
        return cls(start_s, step_s, packed)

    def values(self, speaker: str) -> npt.NDArray[np.uint8]:
        """Return the probabilities of one speaker, 0..255 for 0..1: (frames,)."""
        return np.frombuffer(zlib.decompress(self.packed[speaker]), np.uint8)


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
    embeddings: Mapping[str, Embedding] | None = field(default=None, compare=False)
    """For each speaker with an embedding, the mean of those that were clustered, with a length of 1."""
    frames: FrameConfidence | None = field(default=None, compare=False)
    """Probabilities by frame; None if the segmentation gives none."""
    identities: Mapping[str, VoiceDecision] | None = field(default=None, compare=False)
    """What was decided about the voice of each speaker, if a gallery was asked; then speakers have names."""

    @classmethod
    def of_channels(cls, found: Sequence["DiarizationResult"]) -> "DiarizationResult":
        """Join the results of channels that were diarized separately, each as one speaker.

        The speakers are ``CHANNEL_0``, ``CHANNEL_1``, ... Where turns of several channels overlap, the
        exclusive turns leave the time to the one that began first.
        """
        channels = [
            result.named(dict.fromkeys(result.speakers, f"CHANNEL_{index}"))
            for index, result in enumerate(found)
        ]
        turns = sorted(
            (turn for channel in channels for turn in channel.turns),
            key=lambda turn: (turn.start_s, turn.end_s, turn.speaker),
        )
        frames = [channel.frames for channel in channels if channel.frames is not None]
        packed = {name: values for each in frames for name, values in each.packed.items()}
        return cls(
            tuple(turns),
            tuple(_one_at_a_time(turns)),
            tuple(channel.speakers[0] for channel in channels if channel.speakers),
            embeddings={name: voice for each in channels for name, voice in (each.embeddings or {}).items()},
            frames=replace(frames[0], packed=packed) if frames else None,
        )

    def only(self, *, exclusive: bool, embeddings: bool, frames: bool) -> "DiarizationResult":
        """Keep what the caller asks for: turns without overlap in place of all, and further fields."""
        asked = replace(
            self,
            embeddings=self.embeddings if embeddings else None,
            frames=self.frames if frames else None,
        )
        return asked._with_turns(self.exclusive_turns, self.exclusive_turns) if exclusive else asked

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

    @property
    def speech_s(self) -> float:
        """Seconds in which at least one speaker talks."""
        seconds, heard_until = 0.0, 0.0
        for turn in self.turns:
            seconds += max(turn.end_s - max(turn.start_s, heard_until), 0.0)
            heard_until = max(heard_until, turn.end_s)
        return seconds

    def without_short_turns(self, min_duration_s: float) -> "DiarizationResult":
        """Remove turns shorter than `min_duration_s` seconds, and speakers who then have no turn."""
        turns, exclusive = (
            tuple(turn for turn in kept if turn.end_s - turn.start_s >= min_duration_s)
            for kept in (self.turns, self.exclusive_turns)
        )
        left = self._with_turns(turns, exclusive)
        speakers, note = left.speakers, self.speakers_note
        if len(speakers) < min(len(self.speakers), self.speakers_requested or 0):
            short = f"All turns of {_speakers(len(self.speakers) - len(speakers))} are shorter than the "
            note = f"{note or ''} {short}requested minimum of {min_duration_s:g} s.".lstrip()
        return replace(left, speakers_note=note)

    def _with_turns(self, turns: tuple[Turn, ...], exclusive: tuple[Turn, ...]) -> "DiarizationResult":
        """Take these turns, and leave out what belongs to speakers without one."""
        speakers = tuple(sorted({turn.speaker for turn in turns}))
        embeddings, frames = self.embeddings, self.frames
        return replace(
            self,
            turns=turns,
            exclusive_turns=exclusive,
            speakers=speakers,
            embeddings=None if embeddings is None else _of(speakers, embeddings),
            frames=None if frames is None else replace(frames, packed=_of(speakers, frames.packed)),
            identities=None if self.identities is None else _of(speakers, self.identities),
        )

    def named(self, names: Mapping[str, str]) -> "DiarizationResult":
        """Write names in place of labels.

        Two speakers with one name become one, with the embedding and the frames of the first of them.
        """
        turns, exclusive = (
            tuple(replace(turn, speaker=names.get(turn.speaker, turn.speaker)) for turn in kept)
            for kept in (self.turns, self.exclusive_turns)
        )
        speakers = tuple(dict.fromkeys(names.get(label, label) for label in self.speakers))
        embeddings, frames = self.embeddings, self.frames
        return replace(
            self,
            turns=turns,
            exclusive_turns=exclusive,
            speakers=speakers,
            embeddings=None if embeddings is None else _renamed(embeddings, names),
            frames=None if frames is None else replace(frames, packed=_renamed(frames.packed, names)),
            identities=None if self.identities is None else _renamed(self.identities, names),
        )

    def identified(self, decisions: Mapping[str, VoiceDecision]) -> "DiarizationResult":
        """Write the names of matched speakers in place of labels, and ``unknown 1`` and so on of the others.

        Args:
            decisions: By label; the others of `speakers` stay as they are.
        """
        names, unknown = dict[str, str](), count(1)
        for label in (label for label in self._by_appearance() if label in decisions):
            found = decisions[label]
            if found.decision is not Decision.MATCH or found.speaker is None:
                names[label] = f"unknown {next(unknown)}"
                continue
            name = found.display_name or found.speaker
            names[label] = f"{name} ({found.speaker})" if name in names.values() else name
        identities = {names[label]: decisions[label] for label in names}
        return replace(self.named(names), identities=identities)

    def _by_appearance(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(turn.speaker for turn in self.turns))


def _one_at_a_time(turns: Sequence[Turn]) -> Iterator[Turn]:
    """Cut what overlaps an earlier turn from sorted turns."""
    free_s = 0.0
    for turn in turns:
        if turn.end_s > free_s:
            yield replace(turn, start_s=max(turn.start_s, free_s))
            free_s = turn.end_s


def _of(speakers: tuple[str, ...], values: Mapping[str, T]) -> dict[str, T]:
    return {speaker: value for speaker, value in values.items() if speaker in speakers}


def _renamed(values: Mapping[str, T], names: Mapping[str, str]) -> dict[str, T]:
    renamed = dict[str, T]()
    for label, value in values.items():
        renamed.setdefault(names.get(label, label), value)
    return renamed


def _speakers(number: int) -> str:
    return f"{number} speaker" if number == 1 else f"{number} speakers"
