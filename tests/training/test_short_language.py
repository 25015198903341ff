"""The fit of how unsure the language starter is of short recordings."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines.language_calibration import LanguageCalibration
from training.starter.language_calibration import Heard, nll, posteriors
from training.starter.short_language import CLIPS, fit, prompts_of, temperatures

LANGUAGES = 5
RATE = 16_000


def short_clips(at_0_s: float, temperature: float = 0.7, count: int = 6_000) -> tuple[Heard, np.ndarray]:
    """Clips of 0 to 3 s whose languages are drawn from the softmax over the temperature of their length."""
    generator = np.random.default_rng(3)
    lacks, logs = generator.random(count), generator.normal(scale=2, size=(count, LANGUAGES))
    noise = temperatures(lacks, temperature, at_0_s) * generator.gumbel(size=logs.shape)
    return Heard(logs, (logs + noise).argmax(axis=1), np.full(count, "a")), lacks


def test_the_fit_finds_the_temperature_that_short_clips_were_drawn_with() -> None:
    none = np.zeros(LANGUAGES)
    heard, lacks = short_clips(at_0_s=2.5)

    found = fit(heard, lacks, none, 0.7)

    assert found == pytest.approx(2.5, rel=0.1)
    before, after = posteriors(heard, none, 0.7), posteriors(heard, none, temperatures(lacks, 0.7, found))
    assert nll(after, heard) < nll(before, heard)


def test_short_clips_are_never_surer_than_long_ones() -> None:
    heard, lacks = short_clips(at_0_s=0.2)

    assert fit(heard, lacks, np.zeros(LANGUAGES), 0.7) == pytest.approx(0.7, abs=0.01)


@pytest.mark.parametrize("seconds", [0.0, 1.0, 2.9, 3.0, 10.0])
def test_the_fit_has_the_temperatures_of_the_answer(seconds: float) -> None:
    calibration = LanguageCalibration((), temperature=0.74, temperature_at_0_s=1.5)
    lacks = np.array([max(0.0, 1 - seconds / 3)])

    assert temperatures(lacks, 0.74, 1.5).item() == pytest.approx(calibration.temperature_of(seconds))


def test_prompts_are_short_words_and_no_letters(tmp_path: Path) -> None:
    lengths_s = {
        "b": 1,
        "a": 2,
        "long": 3,
        "beep": 1,
        "letters/x": 1,
        "silence/1": 1,
        "digits/7": 0.6,
        "c": 0.4,
    }
    (tmp_path / "letters").mkdir()
    (tmp_path / "silence").mkdir()
    (tmp_path / "digits").mkdir()
    for name, seconds in lengths_s.items():
        soundfile.write(tmp_path / f"{name}.wav", np.full(int(seconds * RATE), 0.1), RATE)

    assert [len(clip) / RATE for clip in prompts_of(tmp_path)] == pytest.approx([2, 1, 0.6])

    for number in range(CLIPS):
        soundfile.write(tmp_path / f"z{number}.wav", np.full(RATE, 0.1), RATE)
    assert len(prompts_of(tmp_path)) == CLIPS
