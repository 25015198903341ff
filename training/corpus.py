"""Clips that are synthesized once and kept as arrays, with what is known of each."""

import logging
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.texts import ASIAN, SPOKEN, sentence
from training.voices import (
    HELD_OUT,
    HELD_OUT_RATES,
    TRAINED,
    TRAINED_RATES,
    Voice,
    espeak_voices,
    flite_voices,
    speak,
)
from voxgraph.results import Waveform

WORKERS = 2
WORDS = 12
SHORTEST_S, LONGEST_S = 3.0, 6.0

ACCENTS = {
    "us": ("en-us", "en-us-nyc"),
    "england": ("en-gb", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd"),
    "scotland": ("en-gb-scotland",),
    "bermuda": ("en-029",),
}
"""CommonAccent's label of each accent that espeak-ng has; en-029 is its Caribbean English."""
ONE_VOICE = {"en-gb"}
"""espeak-ng speaks it with one voice whatever variant is asked for, so evaluation leaves it out."""

FLITE_ACCENTS = {"slt": "us", "kal16": "us", "rms": "us", "awb": "scotland"}
FLITE_TRAINED, FLITE_HELD_OUT = ["slt", "awb", "kal16"], ["rms"]


@dataclass(frozen=True, slots=True)
class Utterance:
    """What is to be synthesized."""

    voice: Voice
    language: str
    accent: str
    spoken: str
    text: str
    rate: int
    length_s: float


@dataclass(frozen=True, slots=True)
class Clip:
    """What was."""

    waveform: Waveform
    speaker: str
    language: str
    accent: str


def multilingual(size: int, seed: int, *, held_out: bool) -> list[Utterance]:
    """Every voice in every language; flite's in English alone."""
    generator = np.random.default_rng([seed, held_out])
    espeak, flite = voices(held_out)
    utterances = []
    for number in range(size):
        language = list(SPOKEN)[number % len(SPOKEN)]
        choices = espeak + (flite if language == "en" else [])
        voice = choices[generator.integers(len(choices))]
        utterances.append(_utterance(voice, language, "", SPOKEN[language], generator, held_out=held_out))
    return utterances


def accented(size: int, seed: int, *, held_out: bool) -> list[Utterance]:
    """English in every accent, as much American as of all others together."""
    generator = np.random.default_rng([seed, held_out])
    espeak, flite = voices(held_out)
    others = [accent for accent in ACCENTS if accent != "us"]
    utterances = []
    for number in range(size):
        accent = "us" if number % 2 else others[generator.integers(len(others))]
        recorded = [voice for voice in flite if FLITE_ACCENTS[voice.name] == accent]
        choices = recorded if recorded and generator.random() < 0.25 else espeak
        voice = choices[generator.integers(len(choices))]
        names = [name for name in ACCENTS[accent] if not (held_out and name in ONE_VOICE)]
        spoken = names[generator.integers(len(names))]
        utterances.append(_utterance(voice, "en", accent, spoken, generator, held_out=held_out))
    return utterances


def voices(held_out: bool) -> tuple[list[Voice], list[Voice]]:
    """Voices of espeak-ng and of flite."""
    if held_out:
        return espeak_voices(HELD_OUT), flite_voices(FLITE_HELD_OUT)
    return espeak_voices(TRAINED), flite_voices(FLITE_TRAINED)


def is_asian(clip: Clip) -> bool:
    """Whether the CN-Celeb encoder is asked."""
    return clip.language in ASIAN


def _utterance(
    voice: Voice, language: str, accent: str, spoken: str, generator: np.random.Generator, *, held_out: bool
) -> Utterance:
    rates = HELD_OUT_RATES if held_out else TRAINED_RATES
    text = sentence(language, WORDS, generator, held_out=held_out)
    length_s = generator.uniform(SHORTEST_S, LONGEST_S)
    return Utterance(voice, language, accent, spoken, text, int(generator.choice(rates)), length_s)


def synthesized(utterance: Utterance) -> Clip | None:
    """Speak it, and cut it to its length; None where espeak-ng crashes on it, as it does on a few."""
    try:
        waveform = speak(utterance.voice, utterance.spoken, utterance.text, utterance.rate)
    except subprocess.CalledProcessError:
        return None
    waveform = waveform[: int(utterance.length_s * 16_000)]
    voice = utterance.voice
    return Clip(waveform, f"{voice.name}-{voice.tract}", utterance.language, utterance.accent)


def load_or_make(
    path: Path, make: Callable[[], Sequence[Utterance]], progress: Callable[[int, int], None]
) -> list[Clip]:
    """The clips of a corpus, from the cache where it is there.

    Args:
        path: Of an .npz file.
        make: What is synthesized where it is not.
        progress: Told how many of how many are done.
    """
    if not path.exists():
        utterances = make()
        clips = _in_processes(synthesized, utterances, progress)
        _save(path, [clip for clip in clips if clip is not None and len(clip.waveform) > 16_000])
    return _load(path)


def _in_processes(
    function: Callable[[Any], Any], items: Sequence[Any], progress: Callable[[int, int], None]
) -> Iterator[Any]:
    with ProcessPoolExecutor(WORKERS) as pool:
        for done, result in enumerate(pool.map(function, items, chunksize=32), 1):
            progress(done, len(items))
            yield result


def _save(path: Path, clips: Iterable[Clip]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    clips = list(clips)
    samples = np.concatenate([(clip.waveform * 32_767).clip(-32_768, 32_767) for clip in clips])
    scratch = path.with_suffix(".part.npz")
    np.savez(
        scratch,
        samples=samples.astype(np.int16),
        lengths=np.array([len(clip.waveform) for clip in clips]),
        about=np.array([(clip.speaker, clip.language, clip.accent) for clip in clips]),
    )
    scratch.rename(path)
    logging.getLogger(__name__).info("%s: %d clips", path.name, len(clips))


def _load(path: Path) -> list[Clip]:
    with np.load(path) as arrays:
        ends = arrays["lengths"].cumsum()
        samples, about = arrays["samples"], arrays["about"]
    parts = np.split(samples, ends[:-1])
    return [
        Clip((part / 32_768).astype(np.float32), str(speaker), str(language), str(accent))
        for part, (speaker, language, accent) in zip(parts, about, strict=True)
    ]
