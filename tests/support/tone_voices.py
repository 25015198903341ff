"""People whose voices are tones: the pitch of a recording decides its vector, so tests know who is who."""

import clips
import numpy as np

from voxgraph.results import SAMPLE_RATE_HZ, Waveform

ANNA, BERT, CLEO = 200.0, 400.0, 800.0
"""Pitches in hertz."""
CONSENT = {"purposes": ["verification"], "given_at": "2026-11-28T10:00:00Z"}


def voice_of(waveform: Waveform) -> np.ndarray:
    """Return the vector of the loudest pitch: that of another one is about orthogonal."""
    spectrum = np.abs(np.fft.rfft(waveform, SAMPLE_RATE_HZ))
    pitch = int(np.argmax(spectrum[1:])) + 1
    return np.random.default_rng(pitch).standard_normal(192).astype(np.float32)


def waveform_of(*pitches: float, seconds: float = 4.0) -> Waveform:
    """Return tones, one after the other."""
    times = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    tones = [0.3 * np.sin(2 * np.pi * pitch * times) for pitch in pitches]
    return np.concatenate(tones).astype(np.float32)


def wav_of(*pitches: float, seconds: float = 4.0) -> bytes:
    """Return tones, one after the other, as a file."""
    waveform = waveform_of(*pitches, seconds=seconds)
    return clips.soundfile_bytes(waveform, SAMPLE_RATE_HZ, "WAV", "PCM_16")
