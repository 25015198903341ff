"""Channels become one: their mean, or the loudest where they cancel."""

from typing import Literal

import clips
import numpy as np
import pytest

from config.settings import AudioLimits
from pipelines.audio.decoding import decode_recording
from pipelines.audio.mixing import Mixer
from voxgraph.errors import InvalidAudio, UnsupportedAudio

LIMITS = AudioLimits()
RATE = 16_000
VOICE = np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)
OTHER = np.random.default_rng(1).normal(0, 0.1, 2 * RATE).astype(np.float32)
SILENT = np.zeros(2 * RATE, np.float32)


def stereo(*channels: np.ndarray) -> bytes:
    return clips.soundfile_bytes(np.stack(channels, axis=1), RATE, "WAV", "FLOAT")


@pytest.mark.parametrize(
    ("channels", "expected", "mixed"),
    [
        ([VOICE], VOICE, None),
        ([VOICE, VOICE], VOICE, "mean"),
        ([VOICE, SILENT], VOICE / 2, "mean"),
        ([VOICE, OTHER], (VOICE + OTHER) / 2, "mean"),
        ([SILENT, SILENT], SILENT, "mean"),
        ([SILENT, SILENT, VOICE, SILENT, SILENT, SILENT], VOICE / 6, "mean"),
        ([VOICE, -VOICE], VOICE, "loudest"),
        ([0.98 * VOICE, -VOICE], -VOICE, "loudest"),
        ([VOICE, -VOICE, SILENT], VOICE, "loudest"),
        ([OTHER * 0.01 + VOICE, OTHER * 0.01 - 0.9 * VOICE], OTHER * 0.01 + VOICE, "loudest"),
    ],
)
def test_the_mean_is_taken_unless_it_cancels(
    channels: list[np.ndarray], expected: np.ndarray, mixed: str | None
) -> None:
    found = decode_recording(stereo(*channels), LIMITS)

    np.testing.assert_allclose(found.waveform, expected, atol=1e-6)
    assert found.quality.channels_mixed == mixed
    assert found.quality.channels == len(channels)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("channels", [2, 3, 6, 8])
def test_channels_are_mixed_as_by_the_plain_formula(channels: int, order: Literal["C", "F"]) -> None:
    levels = np.linspace(0.2, 1, channels)
    samples = np.random.default_rng(channels).normal(0, levels, (RATE, channels)).astype(np.float32)
    samples = np.asarray(samples, order=order)
    mixer = Mixer()

    mean = mixer(samples)

    exact = samples.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean(axis=1), atol=2e-7)
    if channels < 8:  # From eight on, NumPy adds up the channels of a sample in another order.
        np.testing.assert_array_equal(mean, samples.mean(axis=1))
    energy = mixer.energies[channels]
    np.testing.assert_allclose(energy.channels, (exact**2).sum(axis=0), rtol=1e-5)
    assert energy.mean == pytest.approx((exact.mean(axis=1) ** 2).sum(), rel=1e-5)


@pytest.mark.parametrize("level", [1e25, np.inf, np.nan])
def test_levels_whose_squares_are_too_large_are_refused(level: float) -> None:
    with pytest.raises(InvalidAudio):
        decode_recording(stereo(VOICE * np.float32(level), -VOICE * np.float32(level)), LIMITS)


def test_the_loudest_of_opposite_channels_is_taken() -> None:
    found = decode_recording(stereo(0.9 * VOICE, -VOICE), LIMITS)

    np.testing.assert_allclose(found.waveform, -VOICE, atol=1e-6)


def test_opposite_channels_of_a_codec_are_not_silence() -> None:
    tone = clips.tone(2.0, 48_000)
    data = clips.ffmpeg_bytes(np.concatenate([tone, -tone], axis=1), 48_000, "ogg", "libopus")

    found = decode_recording(data, LIMITS)

    assert found.quality.channels_mixed == "loudest"
    assert np.sqrt((found.waveform**2).mean()) == pytest.approx(0.3 / np.sqrt(2), rel=0.1)


def test_parts_with_other_numbers_of_channels_are_mixed_each_in_its_way() -> None:
    data = stereo(VOICE, -VOICE) + stereo(OTHER)

    found = decode_recording(data, LIMITS)

    np.testing.assert_allclose(found.waveform, np.concatenate([VOICE, OTHER]), atol=1e-6)


@pytest.mark.parametrize(("channel", "expected"), [(0, VOICE), (1, OTHER)])
def test_a_caller_chooses_a_channel(channel: int, expected: np.ndarray) -> None:
    found = decode_recording(stereo(VOICE, OTHER), LIMITS, channel=channel)

    np.testing.assert_allclose(found.waveform, expected, atol=1e-6)
    assert found.quality.channels_mixed == f"channel {channel}"


def test_a_channel_that_is_not_there_is_refused() -> None:
    with pytest.raises(UnsupportedAudio, match=r"no channel 2.* has 2, counted from 0"):
        decode_recording(stereo(VOICE, OTHER), LIMITS, channel=2)


@pytest.mark.parametrize(
    ("channels", "differ"),
    [
        ([VOICE], False),
        ([VOICE, VOICE], False),
        ([VOICE, 0.9 * VOICE + 0.1 * OTHER], False),
        ([VOICE, OTHER], True),
        ([VOICE, SILENT], True),
        ([SILENT, SILENT], False),
    ],
)
def test_channels_differ_where_their_mean_is_weaker_than_that_of_equal_ones(
    channels: list[np.ndarray], differ: bool
) -> None:
    assert decode_recording(stereo(*channels), LIMITS).quality.channels_differ == differ
