"""Tones and sustained music hold their frequencies; voices and noise do not."""

import clips
import numpy as np
import pytest
import sounds
from recordings import DATA

from config.settings import AudioLimits, IngressTunables
from pipelines.audio.decoding import decode
from pipelines.audio.tonality import BLOCK, FRAME, HOP, LAG, MAX_BLOCKS, MIN_PAIRS, gliding_share

LEAST = IngressTunables().min_gliding_share
RATE = 16_000
VOICES = ["accent_us_f3.flac", "de_f3.flac", "ja_m3.flac", "other.wav", "voice.wav", "conversation.flac"]


def voice(name: str) -> np.ndarray:
    return decode((DATA / name).read_bytes(), AudioLimits())


def share(waveform: np.ndarray) -> float:
    found = gliding_share(waveform)
    assert found is not None
    return found


@pytest.mark.parametrize("sound", [sounds.tone, sounds.ringing, sounds.melody, sounds.beeps])
def test_held_frequencies_are_found(sound: object) -> None:
    assert share(sound()) < LEAST  # type: ignore[operator]


@pytest.mark.parametrize("name", VOICES)
def test_a_voice_glides(name: str) -> None:
    assert share(voice(name)) > 0.5


@pytest.mark.parametrize("gain", [1e-3, 1.0, 1e4])
def test_the_level_does_not_matter(gain: float) -> None:
    clip = voice("voice.wav")

    assert share((gain * clip).astype(np.float32)) == pytest.approx(share(clip), abs=0.02)


def test_a_voice_over_a_melody_is_no_melody() -> None:
    clip = voice("conversation.flac")[: 10 * RATE]
    music = np.resize(sounds.melody(10.0), len(clip))
    music *= np.sqrt((clip**2).mean() / (music**2).mean()) * 10 ** (-5 / 20)

    assert share(clip + music) > LEAST


@pytest.mark.parametrize(
    "samples", [0, 100, FRAME, FRAME + (LAG - 1) * HOP, FRAME + (LAG + MIN_PAIRS - 2) * HOP]
)
def test_too_short_a_clip_or_silence_has_no_share(samples: int) -> None:
    assert gliding_share(clips.noise(max(samples, 1), 0)[:samples]) is None
    assert gliding_share(np.zeros(RATE, np.float32)) is None


@pytest.mark.parametrize("pairs", [MIN_PAIRS, BLOCK - 1, BLOCK, BLOCK + 1, MAX_BLOCKS * BLOCK + 1])
def test_every_length_is_measured(pairs: int) -> None:
    samples = FRAME + (LAG + pairs - 1) * HOP

    assert share(sounds.tone(samples / RATE)) == 0.0
    assert share(sounds.white_noise(samples / RATE)) > 0.5
