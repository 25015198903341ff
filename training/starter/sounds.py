"""Sounds without speech: made-up ones, and mixtures of recorded samples of instruments and machines."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import lfilter, resample_poly

from voxgraph.results import SAMPLE_RATE_HZ, Waveform

LENGTHS_S, MIXED_S = (1, 3, 6), (2, 4, 8)
SEEDS = (100, 101)
MIXTURES = 4
"""Mixtures of the samples of one kind."""
LONGEST_GAP = SAMPLE_RATE_HZ // 2
LOUD, QUIET = 1.0, 0.1


def made_up() -> Iterator[tuple[str, Waveform]]:
    """Yield kind and samples of noises, tones and melodies of several lengths."""
    for seconds in LENGTHS_S:
        for seed in SEEDS:
            for kind, samples in _kinds(seconds * SAMPLE_RATE_HZ, np.random.default_rng(seed), seed % 2):
                level = 1e-4 if kind == "silence" else 0.5
                yield kind, (level * samples / (np.abs(samples).max() + 1e-9)).astype(np.float32)


def _kinds(count: int, generator: np.random.Generator, odd: int) -> Iterator[tuple[str, NDArray[np.float64]]]:
    time = np.arange(count) / SAMPLE_RATE_HZ
    white = generator.normal(size=count)
    slow = np.cumsum(white)
    yield "white", white
    yield "brown", slow - np.convolve(slow, np.ones(800) / 800, "same")
    yield "hum", np.sign(np.sin(2 * np.pi * 50 * time))
    yield "tone", np.sin(2 * np.pi * (300 + 300 * odd) * time)
    chord = sum(np.sin(2 * np.pi * hertz * time) for hertz in (220, 277, 330))
    yield "chord", chord * (1 + np.sin(2 * np.pi * 2 * time))
    clicks = (generator.random(count) < 4 / SAMPLE_RATE_HZ).astype(float)
    yield "clicks", lfilter([1], [1, -0.9], clicks)
    yield "bursts", white * (np.sin(2 * np.pi * 1.5 * time) > 0)
    notes = generator.integers(0, 13, 4 * count // SAMPLE_RATE_HZ)
    yield "melody", np.sin(2 * np.pi * np.repeat(220 * 2 ** (notes / 12), SAMPLE_RATE_HZ // 4) * time)
    yield "silence", white


def mixed(folder: Path, generator: np.random.Generator) -> Iterator[tuple[str, Waveform]]:
    """Yield kind and samples of mixtures of the ``.flac`` files of a folder.

    Args:
        folder: The name of a file starts with its kind and ``_``.
        generator: The only source of randomness.
    """
    files: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.rglob("*.flac")):
        files[path.stem.partition("_")[0]].append(path)
    for kind, paths in files.items():
        for _ in range(MIXTURES):
            count = int(generator.choice(MIXED_S)) * SAMPLE_RATE_HZ
            mixture = np.zeros(0, np.float32)
            while len(mixture) < count:
                sample = _read(paths[int(generator.integers(len(paths)))])
                gap = np.zeros(int(generator.integers(LONGEST_GAP)), np.float32)
                mixture = np.concatenate((mixture, sample[:count], gap))
            yield kind, (mixture[:count] * generator.choice((LOUD, QUIET))).astype(np.float32)


def _read(path: Path) -> Waveform:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    common = np.gcd(SAMPLE_RATE_HZ, rate)
    waveform: Waveform = resample_poly(samples.mean(axis=1), SAMPLE_RATE_HZ // common, rate // common)
    return waveform.astype(np.float32)
