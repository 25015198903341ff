"""What happens to a voice on its way: rooms, noise, bands, codecs, loudness."""

import io

import numpy as np
import soundfile
from scipy.signal import butter, fftconvolve, sosfilt

from voxgraph.results import SAMPLE_RATE_HZ, Waveform

CODECS = (("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("WAV", "ULAW"))


def augmented(waveform: Waveform, generator: np.random.Generator) -> Waveform:
    """Send a clip through a random chain; each link is there or not by its own chance.

    Args:
        waveform: Float32, (samples,), 16 kHz.
        generator: Decides everything.

    Returns:
        As many samples.
    """
    samples = waveform
    if generator.random() < 0.4:
        samples = in_a_room(samples, generator)
    if generator.random() < 0.6:
        samples = noisy(samples, generator)
    if generator.random() < 0.3:
        samples = band_limited(samples, generator)
    if generator.random() < 0.3:
        samples = coded(samples, generator)
    loudness = 10 ** (generator.uniform(-15, 6) / 20)
    limited: Waveform = np.clip(loudness * samples, -1, 1).astype(np.float32)
    return limited


def in_a_room(samples: Waveform, generator: np.random.Generator) -> Waveform:
    """Reverberate: noise that decays by 60 dB within 0.1 to 0.6 s, behind the direct sound."""
    decay_s = generator.uniform(0.1, 0.6)
    time = np.arange(int(decay_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    tail = generator.normal(size=len(time)) * 10 ** (-3 * time / decay_s)
    tail *= generator.uniform(0.1, 0.6) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    reverberated: Waveform = fftconvolve(samples, tail)[: len(samples)].astype(np.float32)
    return reverberated


def noisy(samples: Waveform, generator: np.random.Generator) -> Waveform:
    """Add noise between white and brown, 10 to 35 dB below the voice."""
    spectrum = np.fft.rfft(generator.normal(size=len(samples)))
    spectrum /= np.maximum(np.arange(len(spectrum)), 1) ** generator.uniform(0, 1)
    noise = np.fft.irfft(spectrum, len(samples))
    ratio = 10 ** (-generator.uniform(10, 35) / 20)
    level = ratio * np.sqrt(np.mean(samples**2) / np.mean(noise**2))
    mixed: Waveform = (samples + level * noise).astype(np.float32)
    return mixed


def band_limited(samples: Waveform, generator: np.random.Generator) -> Waveform:
    """Cut above 3.2 to 7 kHz, and half of the time below 100 to 300 Hz: a telephone, a bad microphone."""
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


def coded(samples: Waveform, generator: np.random.Generator) -> Waveform:
    """Encode and decode with MP3, Vorbis or mu-law."""
    kind, subtype = CODECS[generator.integers(len(CODECS))]
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", SAMPLE_RATE_HZ, 1, subtype, format=kind) as file:
        # libsndfile's Vorbis encoder crashes on a long write.
        for start in range(0, len(samples), SAMPLE_RATE_HZ):
            file.write(np.clip(samples[start : start + SAMPLE_RATE_HZ], -1, 1))
    decoded, _ = soundfile.read(io.BytesIO(buffer.getvalue()), dtype="float32")
    fitted: Waveform = np.zeros(len(samples), np.float32)
    fitted[: min(len(decoded), len(samples))] = decoded[: len(samples)]
    return fitted
