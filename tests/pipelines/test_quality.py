"""What the samples of a recording show, and the notes that follow from it."""

import time

import clips
import numpy as np
import pytest
import soxr

from config.settings import AudioLimits
from pipelines.audio.decoding import decode_recording
from pipelines.audio.quality import MAX_SNR_DB, Measured, measure
from voxgraph.results import Quality

RATE = 16_000
LIMITS = AudioLimits()


def noise(seconds: float, level: float = 0.1) -> np.ndarray:
    return np.random.default_rng(0).normal(0, level, round(seconds * RATE)).astype(np.float32)


def quality(samples: np.ndarray, rate: int = RATE, subtype: str = "PCM_16") -> Quality:
    return decode_recording(clips.soundfile_bytes(samples, rate, "WAV", subtype), LIMITS).quality


def test_silence_has_no_sound() -> None:
    assert measure(np.zeros(RATE, np.float32)) == Measured(0.0, None, None)


def test_a_constant_offset_has_no_frequencies() -> None:
    assert measure(np.full(RATE, 0.25, np.float32)).bandwidth_hz is None


def test_steady_noise_does_not_stand_out_and_has_no_ratio() -> None:
    found = measure(noise(5.0))

    assert (found.active_s, found.snr_db) == (0.0, None)


@pytest.mark.parametrize("snr_db", [10.0, 20.0, 40.0])
@pytest.mark.parametrize("silent_s", [0.0, 20.0])
def test_sound_over_noise_has_its_seconds_and_its_ratio_whatever_digital_silence_is_beside(
    snr_db: float, silent_s: float
) -> None:
    waveform = noise(10.0, 0.1 * 10 ** (-snr_db / 20))
    waveform[2 * RATE : 5 * RATE] += noise(3.0)

    found = measure(np.concatenate([waveform, np.zeros(round(silent_s * RATE), np.float32)]))

    assert found.active_s == pytest.approx(3.0, abs=0.1)
    assert found.snr_db == pytest.approx(snr_db, abs=1.5)


def test_the_ratio_is_bounded() -> None:
    waveform = noise(4.0, 1e-5)
    waveform[RATE : 2 * RATE] = noise(1.0, 0.5)

    assert measure(waveform).snr_db == MAX_SNR_DB


@pytest.mark.parametrize("rate", [4_000, 8_000, 12_000])
def test_the_bandwidth_is_that_of_the_source(rate: int) -> None:
    narrow = soxr.resample(soxr.resample(noise(3.0), RATE, rate), rate, RATE)

    assert measure(narrow).bandwidth_hz == pytest.approx(rate / 2, rel=0.08)


def test_a_recording_shorter_than_a_frame_has_no_figures() -> None:
    assert measure(noise(0.01)) == Measured(0.0, None, None)


def test_ten_seconds_are_measured_in_less_than_a_millisecond_and_hours_in_a_few() -> None:
    def fastest_s(seconds: float) -> float:
        waveform, times = noise(seconds), []
        for _ in range(7):
            started = time.perf_counter()
            measure(waveform)
            times.append(time.perf_counter() - started)
        return min(times)

    assert fastest_s(10.0) < 1e-3
    assert fastest_s(600.0) < 15e-3


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_clipped_samples_are_counted_before_mixing(channels: int, rate: int) -> None:
    tone = clips.tone(1.0, rate, channels)
    loud = np.clip(10 * tone, -1, 1)

    assert quality(loud, rate).clipped_ratio == pytest.approx(np.mean(np.abs(loud) == 1), abs=0.03)
    assert quality(tone, rate).clipped_ratio == 0.0


def test_one_clipped_channel_of_two_counts_by_half_and_alone_by_whole() -> None:
    tone = clips.tone(1.0, RATE)
    both = np.concatenate([np.clip(10 * tone, -1, 1), tone], axis=1)
    data = clips.soundfile_bytes(both, RATE, "WAV", "PCM_16")

    mixed, loud, clean = (
        decode_recording(data, LIMITS, channel=channel).quality.clipped_ratio for channel in (None, 0, 1)
    )

    assert clean == 0.0
    assert mixed == pytest.approx(loud / 2)


def test_a_single_sample_at_full_scale_is_not_clipping() -> None:
    tone = clips.tone(1.0, RATE) * 0.5
    tone[100] = 1.0

    assert quality(tone).clipped_ratio == 0.0


def test_integers_stored_as_float_are_not_clipped() -> None:
    assert quality(clips.tone(1.0, RATE) * 30_000, subtype="FLOAT").clipped_ratio == 0.0


def test_a_file_tells_its_rate_channels_and_length() -> None:
    found = quality(clips.tone(1.5, 44_100, 2), 44_100)

    assert (found.sample_rate, found.channels, found.channels_mixed) == (44_100, 2, "mean")
    assert found.duration_s == pytest.approx(1.5, abs=0.001)
    assert (found.missing_s, found.damaged_s, found.speech_s) == (0.0, 0.0, None)
