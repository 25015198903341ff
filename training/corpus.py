"""Corpora of labelled synthetic clips, synthesized once and cached on disk."""

import logging
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.texts import ASIAN, DIALECTS, sentence
from training.voices import (
    HELD_OUT_RATES,
    HELD_OUT_VARIANTS,
    TRAINING_RATES,
    TRAINING_VARIANTS,
    Voice,
    espeak_voices,
    flite_voices,
    speak,
)
from voxgraph.results import Waveform

WORKERS = 2
WORDS_PER_UTTERANCE = 12
MIN_LENGTH_S, MAX_LENGTH_S = 3.0, 6.0

ACCENTS = {
    "us": ("en-us", "en-us-nyc"),
    "england": ("en-gb", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd"),
    "scotland": ("en-gb-scotland",),
    "bermuda": ("en-029",),
}
"""espeak-ng's dialects for each CommonAccent label that it covers; en-029 is Caribbean English."""
SINGLE_VOICE_DIALECTS = {"en-gb"}
"""Dialects that espeak-ng speaks with one voice, whatever the variant; evaluation leaves them out."""

FLITE_ACCENTS = {"slt": "us", "kal16": "us", "rms": "us", "awb": "scotland"}
FLITE_TRAINING, FLITE_HELD_OUT = ["slt", "awb", "kal16"], ["rms"]


@dataclass(frozen=True, slots=True)
class Utterance:
    """The parameters of one clip to synthesize."""

    voice: Voice
    language: str
    accent: str
    dialect: str
    text: str
    rate: int
    length_s: float


@dataclass(frozen=True, slots=True)
class Clip:
    """A synthesized clip and its labels; the waveform is float32, (samples,), 16 kHz."""

    waveform: Waveform
    speaker: str
    language: str
    accent: str


def multilingual(size: int, seed: int, *, held_out: bool) -> list[Utterance]:
    """Draw utterances in all languages in turn; flite's voices speak English only."""
    generator = np.random.default_rng([seed, held_out])
    espeak, flite = voices(held_out)
    utterances = []
    for number in range(size):
        language = list(DIALECTS)[number % len(DIALECTS)]
        choices = espeak + (flite if language == "en" else [])
        voice = choices[generator.integers(len(choices))]
        utterances.append(_utterance(voice, language, "", DIALECTS[language], generator, held_out=held_out))
    return utterances


def accented(size: int, seed: int, *, held_out: bool) -> list[Utterance]:
    """Draw English utterances: half of them American, half in the other accents."""
    generator = np.random.default_rng([seed, held_out])
    espeak, flite = voices(held_out)
    others = [accent for accent in ACCENTS if accent != "us"]
    utterances = []
    for number in range(size):
        accent = "us" if number % 2 else others[generator.integers(len(others))]
        recorded = [voice for voice in flite if FLITE_ACCENTS[voice.name] == accent]
        choices = recorded if recorded and generator.random() < 0.25 else espeak
        voice = choices[generator.integers(len(choices))]
        names = [name for name in ACCENTS[accent] if not (held_out and name in SINGLE_VOICE_DIALECTS)]
        dialect = names[generator.integers(len(names))]
        utterances.append(_utterance(voice, "en", accent, dialect, generator, held_out=held_out))
    return utterances


def voices(held_out: bool) -> tuple[list[Voice], list[Voice]]:
    """Return the espeak-ng voices and the flite voices of a split."""
    if held_out:
        return espeak_voices(HELD_OUT_VARIANTS), flite_voices(FLITE_HELD_OUT)
    return espeak_voices(TRAINING_VARIANTS), flite_voices(FLITE_TRAINING)


def is_asian(clip: Clip) -> bool:
    """Return whether the clip's language is routed to the CN-Celeb encoder."""
    return clip.language in ASIAN


def _utterance(
    voice: Voice, language: str, accent: str, dialect: str, generator: np.random.Generator, *, held_out: bool
) -> Utterance:
    rates = HELD_OUT_RATES if held_out else TRAINING_RATES
    text = sentence(language, WORDS_PER_UTTERANCE, generator, held_out=held_out)
    length_s = generator.uniform(MIN_LENGTH_S, MAX_LENGTH_S)
    return Utterance(voice, language, accent, dialect, text, int(generator.choice(rates)), length_s)


def synthesize(utterance: Utterance) -> Clip | None:
    """Synthesize and cut to length; return None if espeak-ng crashes, as it does on a few texts."""
    try:
        waveform = speak(utterance.voice, utterance.dialect, utterance.text, utterance.rate)
    except subprocess.CalledProcessError:
        return None
    waveform = waveform[: int(utterance.length_s * 16_000)]
    voice = utterance.voice
    return Clip(waveform, f"{voice.name}-{voice.tract}", utterance.language, utterance.accent)


def load_or_make(
    path: Path, make: Callable[[], Sequence[Utterance]], progress: Callable[[int, int], None]
) -> list[Clip]:
    """Load the clips of a corpus, synthesizing them first if they are not cached.

    Args:
        path: The .npz file of the cache.
        make: Returns the utterances to synthesize.
        progress: Called with the clips done and the total.
    """
    if not path.exists():
        utterances = make()
        clips = _in_processes(synthesize, utterances, progress)
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
