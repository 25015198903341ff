"""Sounds in which nobody speaks, made from nothing: float32, (samples,), 16 kHz."""

import numpy as np
import numpy.typing as npt

RATE = 16_000
Sound = npt.NDArray[np.float32]


def silence(seconds: float = 5.0) -> Sound:
    return np.zeros(round(seconds * RATE), np.float32)


def white_noise(seconds: float = 5.0, level: float = 0.1) -> Sound:
    return np.random.default_rng(0).normal(0, level, round(seconds * RATE)).astype(np.float32)


def pink_noise(seconds: float = 5.0) -> Sound:
    spectrum = np.fft.rfft(white_noise(seconds))
    shaped = np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 1.0))
    return (0.1 * shaped / shaped.std()).astype(np.float32)


def tone(seconds: float = 5.0, hz: float = 440.0) -> Sound:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def ringing(seconds: float = 5.0) -> Sound:
    """Return the European ringing tone, 1 s of 425 Hz every 4 s, which segmentation takes for a voice."""
    return tone(seconds, 425.0) * (np.arange(round(seconds * RATE)) % (4 * RATE) < RATE)


def melody(seconds: float = 6.0) -> Sound:
    """Return notes of 2 s with eight harmonics each, which segmentation takes for a voice."""
    generator = np.random.default_rng(3)
    sound = silence(seconds)
    for start in range(0, len(sound), 2 * RATE):
        part = sound[start : start + 2 * RATE]
        hz = 220 * 2 ** (generator.choice([0, 2, 4, 5, 7, 9, 11, 12]) / 12)
        time = np.arange(len(part)) / RATE
        part += sum(np.sin(2 * np.pi * hz * n * time) / n for n in range(1, 9)) * np.exp(-time) * 0.15
    return sound


def beeps(seconds: float = 5.0) -> Sound:
    return tone(seconds, 1000.0) * (np.arange(round(seconds * RATE)) % RATE < RATE // 5)


WITHOUT_SPEECH = {
    "silence": silence,
    "white noise": white_noise,
    "pink noise": pink_noise,
    "tone": tone,
    "ringing": ringing,
    "melody": melody,
    "beeps": beeps,
}
