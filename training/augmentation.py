"""Random augmentation of clips: reverberation, noise, band limit, codec and gain."""

import io

import numpy as np
import soundfile
from scipy.signal import butter, fftconvolve, sosfilt

from voxgraph.results import SAMPLE_RATE_HZ, Waveform

CODECS = (("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("WAV", "ULAW"))


def augment(waveform: Waveform, generator: np.random.Generator) -> Waveform:
    """Apply a random chain of effects; each effect but the gain has its own probability.

    Args:
        waveform: Float32, (samples,), 16 kHz.
        generator: The only source of randomness.

    Returns:
        Float32 in -1 to 1, of the same length.
    """
    samples = waveform
    if generator.random() < 0.4:
        samples = add_reverberation(samples, generator)
    if generator.random() < 0.6:
        samples = add_noise(samples, generator)
    if generator.random() < 0.3:
        samples = limit_band(samples, generator)
    if generator.random() < 0.3:
        samples = apply_codec(samples, generator)
    loudness = 10 ** (generator.uniform(-15, 6) / 20)
    limited: Waveform = np.clip(loudness * samples, -1, 1).astype(np.float32)
    return limited


def add_reverberation(samples: Waveform, generator: np.random.Generator) -> Waveform:
    """Convolve with the direct sound and a tail of noise that decays by 60 dB within 0.1 to 0.6 s."""
    decay_s = generator.uniform(0.1, 0.6)
    time = np.arange(int(decay_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    tail = generator.normal(size=len(time)) * 10 ** (-3 * time / decay_s)
    tail *= generator.uniform(0.1, 0.6) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    reverberated: Waveform = fftconvolve(samples, tail)[: len(samples)].astype(np.float32)
    return reverberated


def add_noise(samples: Waveform, generator: np.random.Generator) -> Waveform:
    """Add noise between white and brown, 10 to 35 dB below the voice."""
    spectrum = np.fft.rfft(generator.normal(size=len(samples)))
    spectrum /= np.maximum(np.arange(len(spectrum)), 1) ** generator.uniform(0, 1)
    noise = np.fft.irfft(spectrum, len(samples))
    ratio = 10 ** (-generator.uniform(10, 35) / 20)
    level = ratio * np.sqrt(np.mean(samples**2) / np.mean(noise**2))
    mixed: Waveform = (samples + level * noise).astype(np.float32)
    return mixed


def limit_band(samples: Waveform, generator: np.random.Generator) -> Waveform:
    """Low-pass at 3.2 to 7 kHz and, half of the time, high-pass at 100 to 300 Hz, like a telephone."""
    high = generator.uniform(3_200, 7_000)
    edges = (
        (generator.uniform(100, 300), high, "bandpass")
        if generator.random() < 0.5
        else (None, high, "lowpass")
    )
    band = [edge for edge in edges[:2] if edge is not None]
    sections = butter(4, band if len(band) > 1 else band[0], edges[2], fs=SAMPLE_RATE_HZ, output="sos")
    filtered: Waveform = sosfilt(sections, samples).astype(np.float32)
    return filtered


def apply_codec(samples: Waveform, generator: np.random.Generator) -> Waveform:
    """Encode and decode with MP3, Vorbis or mu-law."""
    kind, subtype = CODECS[generator.integers(len(CODECS))]
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", SAMPLE_RATE_HZ, 1, subtype, format=kind) as file:
        # libsndfile's Vorbis encoder crashes on long writes.
        for start in range(0, len(samples), SAMPLE_RATE_HZ):
            file.write(np.clip(samples[start : start + SAMPLE_RATE_HZ], -1, 1))
    decoded, _ = soundfile.read(io.BytesIO(buffer.getvalue()), dtype="float32")
    fitted: Waveform = np.zeros(len(samples), np.float32)
    fitted[: min(len(decoded), len(samples))] = decoded[: len(samples)]
    return fitted
