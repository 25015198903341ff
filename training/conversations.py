"""Simulated conversations with exact reference turns."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.augmentation import augment
from voxgraph.results import SAMPLE_RATE_HZ, Turn, Waveform

CONVERSATION_S = 60.0
"""Length of the conversations of training and evaluation."""
MAX_SPEAKERS = 4
OVERLAP_CHANCE = 0.25
OVERLAP_S = (0.2, 1.5)
PAUSE_S = (0.05, 1.5)
LONG_PAUSE_CHANCE, LONG_PAUSE_S = 0.1, (2.0, 5.0)
UTTERANCE_S = (0.8, 5.5)
LOUDNESS_DB = 6.0


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording of one speaker in one language; the waveform is float32, (samples,), 16 kHz."""

    waveform: Waveform
    speaker: str
    language: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """A recording and its turns, sorted by start."""

    waveform: Waveform
    turns: tuple[Turn, ...]


def by_speaker(clips: Sequence[Clip]) -> dict[str, list[Clip]]:
    """Group clips by speaker."""
    found: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        found[clip.speaker].append(clip)
    return dict(found)


def simulate(
    voices: dict[str, list[Clip]], seconds: float, generator: np.random.Generator, *, augmented: bool = True
) -> Conversation:
    """Mix two to four voices of one language into a conversation with pauses and overlap.

    Args:
        voices: Clips of each speaker.
        seconds: Length of the recording.
        generator: The only source of randomness.
        augmented: Whether to augment the whole recording (see `augment`).
    """
    languages = sorted({clip.language for clips in voices.values() for clip in clips})
    language = languages[generator.integers(len(languages))]
    spoken = {name: [clip for clip in clips if clip.language == language] for name, clips in voices.items()}
    names = sorted(name for name, clips in spoken.items() if clips)
    count = min(len(names), int(generator.integers(2, MAX_SPEAKERS + 1)))
    speakers = [names[index] for index in generator.choice(len(names), count, replace=False)]
    loudness = {name: 10 ** (generator.uniform(-LOUDNESS_DB, LOUDNESS_DB) / 20) for name in speakers}
    samples = np.zeros(int(seconds * SAMPLE_RATE_HZ), np.float32)
    turns: list[Turn] = []
    ends = dict.fromkeys(speakers, 0.0)
    order = list(generator.permutation(speakers))
    time = generator.uniform(0, 1)
    while time < seconds - 1:
        # Everyone speaks once before anyone speaks again.
        speaker = order.pop() if order else speakers[generator.integers(len(speakers))]
        first = int(max(time, ends[speaker] + 0.1) * SAMPLE_RATE_HZ)
        clip = spoken[speaker][generator.integers(len(spoken[speaker]))].waveform
        length = min(int(generator.uniform(*UTTERANCE_S) * SAMPLE_RATE_HZ), len(clip))
        offset = int(generator.integers(len(clip) - length + 1))
        if first > len(samples) - SAMPLE_RATE_HZ // 4:
            break
        part = clip[offset : offset + length][: len(samples) - first]
        samples[first : first + len(part)] += loudness[speaker] * part
        ends[speaker] = (first + len(part)) / SAMPLE_RATE_HZ
        turns.append(Turn(first / SAMPLE_RATE_HZ, ends[speaker], speaker))
        time = max(0.0, max(ends.values()) + _gap(generator))
    whole = augment(samples, generator) if augmented else samples
    return Conversation(whole, tuple(sorted(turns, key=lambda turn: turn.start_s)))


def _gap(generator: np.random.Generator) -> float:
    """Draw the seconds from the last end to the next start; negative values overlap."""
    chance = generator.random()
    if chance < OVERLAP_CHANCE:
        return -float(generator.uniform(*OVERLAP_S))
    if chance < OVERLAP_CHANCE + LONG_PAUSE_CHANCE:
        return float(generator.uniform(*LONG_PAUSE_S))
    return float(generator.uniform(*PAUSE_S))


def activity(turns: Sequence[Turn], speakers: Sequence[str], centres_s: np.ndarray) -> np.ndarray:
    """Return which speakers talk at each instant: float32, (instants, speakers), 0 or 1."""
    talks = np.zeros((len(centres_s), len(speakers)), np.float32)
    for turn in turns:
        if turn.speaker in speakers:
            inside = (centres_s >= turn.start_s) & (centres_s < turn.end_s)
            talks[inside, speakers.index(turn.speaker)] = 1.0
    return talks
