"""Telling speech from other sounds: what is taught, and the fit."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from training.starter.sounds import MIXTURES, made_up, mixed
from training.starter.speech import CLIPS, States, chosen_rows, fit

RATE = 16_000


def states(count: int = 60) -> States:
    """Two sources of speech and two kinds of sounds; the first of eight numbers tells speech."""
    generator = np.random.default_rng(0)
    is_speech = np.arange(4 * count) % 2 == 0
    rows = generator.normal(size=(4 * count, 8)) * 3 + 5
    rows[:, 0] += 6 * is_speech
    return States(rows, np.array([f"{number % 4}" for number in range(4 * count)]), is_speech)


def test_the_logit_is_positive_for_speech() -> None:
    taught = states()

    weight, bias = fit(taught)

    heard = taught.rows @ weight + bias > 0
    assert (heard == taught.is_speech).mean() > 0.8
    assert np.abs(weight).argmax() == 0


def test_speech_and_sounds_weigh_the_same_and_so_do_the_groups_of_each() -> None:
    found = States(np.zeros((4, 2)), np.array(["a", "b", "b", "noise"]), np.array([True, True, True, False]))

    assert found.weights() == pytest.approx([1, 0.5, 0.5, 2])


def test_clips_are_long_enough_evenly_spaced_and_in_a_language_that_whisper_has() -> None:
    row = {"file": "a", "source": "a", "lang": "en", "duration_s": "3.0"}

    assert chosen_rows([row, row | {"duration_s": "2.9"}, row | {"lang": "tn"}]) == [row]
    assert len(chosen_rows([row] * (CLIPS + 1))) == CLIPS


def test_made_up_sounds_are_the_same_every_time_and_none_is_a_clip_twice() -> None:
    first, second = [*made_up()], [*made_up()]

    assert all(np.array_equal(one, other) for (_, one), (_, other) in zip(first, second, strict=True))
    assert len({samples.tobytes() for kind, samples in first if kind in ("white", "melody", "clicks")}) == 18
    assert all(samples.dtype == np.float32 and np.abs(samples).max() <= 1 for _, samples in first)


def test_mixtures_are_of_one_kind(tmp_path: Path) -> None:
    for kind, level in (("bass", 0.25), ("drum", -0.25)):
        soundfile.write(tmp_path / f"{kind}_1.flac", np.full((3 * RATE, 2), level), 2 * RATE)

    found = [*mixed(tmp_path, np.random.default_rng(0))]

    assert [kind for kind, _ in found] == ["bass"] * MIXTURES + ["drum"] * MIXTURES
    assert all(samples.max() > 0.02 for kind, samples in found if kind == "bass")
    assert all(samples.min() < -0.02 for kind, samples in found if kind == "drum")
