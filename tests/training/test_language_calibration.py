"""The fit of the language calibration."""

import numpy as np
import pytest

from training.starter.language_calibration import (
    CLIPS,
    Heard,
    biases,
    calibration_error,
    chosen_rows,
    evenly_spaced,
    fit_temperature,
    nll,
    parameters,
    posteriors,
)

LANGUAGES = 5


def clips(count: int = 4_000, temperature: float = 0.5, source: str = "a") -> Heard:
    """Clips whose languages are drawn from the softmax of their log-probabilities over a temperature."""
    generator = np.random.default_rng(0)
    logs = generator.normal(size=(count, LANGUAGES))
    noise = temperature * generator.gumbel(size=logs.shape)
    return Heard(logs, (logs + noise).argmax(axis=1), np.full(count, source))


def test_the_fit_finds_the_temperature_that_the_clips_were_drawn_with() -> None:
    heard, none = clips(), np.zeros(LANGUAGES)

    temperature = fit_temperature(heard, none)

    assert temperature == pytest.approx(0.5, rel=0.1)
    before, after = posteriors(heard, none, 1.0), posteriors(heard, none, temperature)
    assert nll(after, heard) < nll(before, heard)
    assert calibration_error(after, heard) < 0.03 < calibration_error(before, heard)


def test_each_language_has_the_same_weight_and_in_it_each_source() -> None:
    heard = Heard(np.zeros((4, 2)), np.array([0, 0, 0, 1]), np.array(["a", "a", "b", "a"]))

    assert heard.weights() == pytest.approx([1 / 8, 1 / 8, 1 / 4, 1 / 2])


def test_a_bias_grows_with_the_hours_and_rare_languages_have_none() -> None:
    english, german, welsh = biases(["en", "de", "cy"], 0.25)

    assert english > german > welsh == 0.0
    assert english == pytest.approx(0.25 * np.log(4382.18))


def test_the_file_names_only_languages_with_a_bias() -> None:
    codes = ["en", "cy"]

    found = parameters(codes, biases(codes, 0.25), 0.784)

    assert found["bias_nats"] == {"en": 2.096}
    assert found["temperature"] == 0.78


def test_clips_are_real_long_enough_and_not_too_many() -> None:
    row = {"file": "a", "source": "a", "lang": "en", "label": "real", "duration_s": "3.0"}
    other = [row | {"label": "fake"}, row | {"duration_s": "2.9"}, row | {"lang": "tn"}]
    short = row | {"source": "emodb", "duration_s": "2.0"}

    assert chosen_rows([row, *other, short], ["en"]) == [row, short]
    assert len(chosen_rows([row] * (CLIPS + 1), ["en"])) == CLIPS


def test_all_are_taken_of_few_and_of_many_as_many_as_asked_at_even_distances() -> None:
    assert evenly_spaced([1, 2, 3], 3) == evenly_spaced([1, 2, 3], 9) == [1, 2, 3]
    assert evenly_spaced(range(100), 4) == [0, 25, 50, 75]
    drawn = evenly_spaced(range(202), 200)
    assert len({*drawn}) == 200
    assert {*np.diff(drawn)} == {1, 2}
