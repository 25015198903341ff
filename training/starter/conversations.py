"""Conversations of real voices with exact reference turns, simulated from clips of single speakers.

The clips lie in a folder with a manifest, see `evaluation.manifest`. All speakers of a conversation come from
one source, because microphones would tell them apart.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from config.settings import AudioLimits
from evaluation.manifest import read_manifest
from pipelines.audio.decoding import decode
from training.augmentation import add_reverberation, augment
from voxgraph.results import SAMPLE_RATE_HZ, Turn, Waveform

MIN_VOICE_S = 15.0
"""Least speech of a speaker in seconds; others are left out."""

LEVEL_HOP = SAMPLE_RATE_HZ // 100
LEVEL_FRAMES = 5
SILENCE_DB = 25.0
"""Speech is what is at most this far below the loud part of a clip."""
PAUSE_S, SHORTEST_S = 0.3, 0.25
"""Pauses up to the first belong to an utterance; utterances shorter than the second are dropped."""

LOUDNESS_DB, DRIFT_DB = 6.0, 2.0
"""Level of a speaker, and of each of their utterances around it."""
MAX_OVERLAP_CHANCE, OVERLAP_S = 0.5, (0.2, 2.0)
LONG_PAUSE_CHANCE, LONG_PAUSE_S = 0.1, (2.0, 5.0)
GAP_S = (0.05, 1.2)
MAX_UTTERANCES = 3
"""Most utterances of a speaker in a row, with short pauses."""
LONGEST = 8 * SAMPLE_RATE_HZ
"""Most samples of an utterance; longer ones are cut."""
ROOM_CHANCE = 0.5
"""Probability that speakers sit at different distances: each gets a reverberation of their own."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A recording and its turns, sorted by start."""

    waveform: Waveform
    turns: tuple[Turn, ...]


Voices = Mapping[str, Sequence[Waveform]]
"""The utterances of each speaker."""


@dataclass(frozen=True, slots=True)
class Style:
    """What differs between conversations."""

    overlap_chance: float
    loudness: Mapping[str, float]
    """Factor of each speaker's samples."""


def read_voices(folder: Path, source: str) -> dict[str, list[Waveform]]:
    """Return the utterances of the speakers of one source with at least `MIN_VOICE_S` of speech.

    Raises:
        DataError: The manifest is missing or wrong.
    """
    clips = [clip for clip in read_manifest(folder) if clip.source == source]
    clips.sort(key=lambda clip: clip.file)
    voices: dict[str, list[Waveform]] = defaultdict(list)
    for file, of_file in groupby(clips, key=lambda clip: clip.file):
        recording = decode((folder / file).read_bytes(), AudioLimits())
        for clip in of_file:
            start = round(clip.start_s * SAMPLE_RATE_HZ)
            end = None if clip.duration_s is None else start + round(clip.duration_s * SAMPLE_RATE_HZ)
            voices[clip.speaker] += utterances(recording[start:end])
    enough = MIN_VOICE_S * SAMPLE_RATE_HZ
    return {name: cuts for name, cuts in sorted(voices.items()) if sum(map(len, cuts)) >= enough}


def utterances(clip: Waveform) -> list[Waveform]:
    """Cut a clip at its pauses, by level; an utterance has no silence at its ends."""
    squares = np.square(clip[: len(clip) // LEVEL_HOP * LEVEL_HOP], dtype=np.float64)
    power = uniform_filter1d(squares.reshape(-1, LEVEL_HOP).mean(axis=1), LEVEL_FRAMES)
    if not power.any():
        return []
    loud = power > np.quantile(power, 0.95) * 10 ** (-SILENCE_DB / 10)
    edges = np.flatnonzero(np.diff(loud, prepend=False, append=False)).reshape(-1, 2) * LEVEL_HOP
    apart = edges[1:, 0] - edges[:-1, 1] > PAUSE_S * SAMPLE_RATE_HZ
    starts, ends = edges[np.append(True, apart), 0], edges[np.append(apart, True), 1]
    long_enough = ends - starts >= SHORTEST_S * SAMPLE_RATE_HZ
    return [clip[start:end] for start, end in zip(starts[long_enough], ends[long_enough], strict=True)]


def split(voices: Voices, parts: int, part: int) -> dict[str, Sequence[Waveform]]:
    """Return every `parts`-th speaker, so that the parts have no speaker in common."""
    return {name: voices[name] for name in sorted(voices)[part::parts]}


def simulate(
    voices: Voices, speakers: int, seconds: float, generator: np.random.Generator, *, augmented: bool = True
) -> Conversation:
    """Mix some speakers into a conversation with pauses and overlap.

    Args:
        voices: Utterances of at least `speakers` speakers.
        speakers: Number of speakers; each speaks once before anyone speaks again.
        seconds: Length of the recording.
        generator: The only source of randomness.
        augmented: Whether to add rooms, and noise, band limits and codecs as in `training.augmentation`.
    """
    names = [str(name) for name in generator.choice(sorted(voices), speakers, replace=False)]
    style = Style(
        overlap_chance=generator.uniform(0, MAX_OVERLAP_CHANCE),
        loudness={name: _decibels(generator, LOUDNESS_DB) for name in names},
    )
    tracks = {name: np.zeros(int(seconds * SAMPLE_RATE_HZ), np.float32) for name in names}
    turns = _talk(voices, tracks, style, generator)
    if augmented and generator.random() < ROOM_CHANCE:
        tracks = {name: add_reverberation(track, generator) for name, track in tracks.items()}
    mixed: Waveform = np.sum(list(tracks.values()), axis=0, dtype=np.float32)
    whole = augment(mixed, generator) if augmented else mixed
    return Conversation(whole, tuple(sorted(turns, key=lambda turn: turn.start_s)))


def _talk(
    voices: Voices, tracks: Mapping[str, NDArray[np.float32]], style: Style, generator: np.random.Generator
) -> list[Turn]:
    """Add utterances to the tracks until they are full, and return the turns."""
    names, turns = list(tracks), list[Turn]()
    samples = len(tracks[names[0]])
    ends, order = dict.fromkeys(names, 0.0), list(names)
    speaker, time = names[0], generator.uniform(0, 1)
    while True:
        others = [name for name in names if name != speaker] or names
        speaker = order.pop() if order else others[generator.integers(len(others))]
        time = max(time, ends[speaker] + GAP_S[0])
        # In the first round everybody says one utterance, so that short recordings have all speakers, too.
        for _ in range(1 if order else generator.integers(1, MAX_UTTERANCES + 1)):
            first = int(time * SAMPLE_RATE_HZ)
            said = voices[speaker][int(generator.integers(len(voices[speaker])))][:LONGEST]
            if first + len(said) > samples:
                return turns
            loudness = style.loudness[speaker] * _decibels(generator, DRIFT_DB)
            tracks[speaker][first : first + len(said)] += loudness * said
            ends[speaker] = (first + len(said)) / SAMPLE_RATE_HZ
            turns.append(Turn(first / SAMPLE_RATE_HZ, ends[speaker], speaker))
            time = ends[speaker] + generator.uniform(*GAP_S) / 2
        time = max(0.0, max(ends.values()) + _gap(style, generator))


def _gap(style: Style, generator: np.random.Generator) -> float:
    """Draw the seconds from the last end to the start of the next speaker; negative values overlap."""
    if generator.random() < style.overlap_chance:
        return -float(generator.uniform(*OVERLAP_S))
    if generator.random() < LONG_PAUSE_CHANCE:
        return float(generator.uniform(*LONG_PAUSE_S))
    return float(generator.uniform(*GAP_S))


def _decibels(generator: np.random.Generator, most: float) -> float:
    """Draw a factor of the samples between two levels."""
    return float(10 ** (generator.uniform(-most, most) / 20))
