"""From Whisper's log-probabilities to an answer."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax

from config.settings import CheckpointSource
from pipelines.checkpoints import LocatedCheckpoint, locate
from pipelines.language_calibration import (
    MAX_ENTROPY_NATS,
    LanguageCalibration,
    entropy,
    language_calibration,
)
from pipelines.whisper_languages import service_languages
from voxgraph.errors import CheckpointError
from voxgraph.options import ModelKey

CODES = ["en", "de", "cy"]
LOGS = torch.tensor([0.3, 0.2, 0.5], dtype=torch.float64).log()


@pytest.fixture
def checkpoint() -> LocatedCheckpoint:
    return locate(ModelKey.LANGUAGE, CheckpointSource(source="starter"))


def test_the_entropy_of_a_certainty_is_none_and_that_of_no_preference_the_most() -> None:
    assert entropy(torch.tensor([0.0, -999.0, -999.0])) == 0
    assert math.isclose(entropy(torch.zeros(4)), math.log(4), rel_tol=1e-6)


def test_the_bias_is_added_before_the_temperature_divides() -> None:
    calibration = LanguageCalibration(bias=(1.0, 0.0, 0.0), temperature=0.5)

    powers = [(0.3 * math.e) ** 2, 0.2**2, 0.5**2]
    assert calibration.probabilities(LOGS, 9.0) == pytest.approx([power / sum(powers) for power in powers])


def test_without_a_fit_the_probabilities_are_those_of_the_network() -> None:
    assert LanguageCalibration((0.0,) * 3).probabilities(LOGS, 0.5) == pytest.approx([0.3, 0.2, 0.5])


@pytest.mark.parametrize("seconds", [0.0, 0.6, 2.0, 2.999, 3.0, 3.001, 14_400.0])
def test_the_shorter_a_clip_the_less_sure_is_the_answer(seconds: float) -> None:
    """Compared with the softmax of numpy on random log-probabilities."""
    generator = np.random.default_rng(int(1000 * seconds))
    logs, bias = generator.normal(scale=4, size=(2, 20))
    calibration = LanguageCalibration(tuple(bias.tolist()), temperature=0.74, temperature_at_0_s=1.5)
    temperature = 0.74 if seconds >= 3 else 1.5 - seconds / 3 * (1.5 - 0.74)

    found = calibration.probabilities(torch.from_numpy(logs), seconds)

    assert found == pytest.approx(softmax((logs + bias) / temperature).tolist(), rel=1e-9)
    assert np.argmax(found) == np.argmax(logs + bias)


def test_the_starter_is_as_sure_as_before_from_3_s_and_less_sure_of_shorter_clips(
    checkpoint: LocatedCheckpoint,
) -> None:
    codes = [code for code, _ in service_languages(99)]

    calibration = language_calibration(checkpoint, codes)

    assert calibration.temperature_of(3.0) == calibration.temperature_of(40.0) == calibration.temperature
    assert calibration.temperature_of(0.5) > calibration.temperature_of(2.0) > calibration.temperature


@pytest.mark.parametrize(
    ("entropy_of", "speech", "heard"),
    [(4, None, True), (5, None, False), (4, 0.1, True), (4, -0.1, False), (5, 0.1, False)],
)
def test_a_language_is_heard_in_speech_at_a_low_entropy(
    entropy_of: int, speech: float | None, heard: bool
) -> None:
    """The biases do not matter: a frequent language must not be heard in noise."""
    calibration = LanguageCalibration(bias=(50.0, *(0.0,) * 4))
    logs = torch.full((5,), -60.0, dtype=torch.float64)
    logs[:entropy_of] = 0.0
    assert math.log(4) < MAX_ENTROPY_NATS < math.log(5)

    assert calibration.is_heard(logs, speech) is heard


def test_the_starter_prefers_frequent_languages(checkpoint: LocatedCheckpoint) -> None:
    codes = [code for code, _ in service_languages(99)]

    bias = dict(zip(codes, language_calibration(checkpoint, codes).bias, strict=True))

    assert bias["en"] > bias["de"] > bias["cy"] == bias["la"] == bias["nn"] == 0.0


def test_a_calibration_without_a_temperature_of_short_clips_has_one_for_all(
    checkpoint: LocatedCheckpoint, tmp_path: Path
) -> None:
    content = {"temperature": 0.8, "min_confidence": 0.0, "max_entropy_nats": 1.4, "bias_nats": {}}
    (tmp_path / "calibration.json").write_text(json.dumps({"language": content}))

    found = language_calibration(replace(checkpoint, folder=tmp_path), CODES)

    assert found.temperature_of(0.1) == found.temperature_of(9.0) == 0.8


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"bias_nats": None}, "no object language with bias_nats"),
        ({"bias_nats": {"xx": 1.0}}, "bias of xx, which the model does not know"),
        ({"bias_nats": {"en": "1"}}, "en '1', which is not a number"),
        ({"temperature": 0}, "temperature 0; it must be finite and above 0"),
        ({"temperature_at_0_s": 0}, "temperature_at_0_s 0; it must be finite and above 0"),
        ({"temperature_at_0_s": None}, "temperature_at_0_s None"),
        ({"max_entropy_nats": None}, "max_entropy_nats None"),
    ],
)
def test_a_damaged_calibration_is_refused(
    changed: dict[str, Any], message: str, checkpoint: LocatedCheckpoint, tmp_path: Path
) -> None:
    whole = {"temperature": 1.0, "min_confidence": 0.0, "max_entropy_nats": 1.4, "bias_nats": {}}
    (tmp_path / "calibration.json").write_text(json.dumps({"language": whole | changed}))

    with pytest.raises(CheckpointError, match=message):
        language_calibration(replace(checkpoint, folder=tmp_path), CODES)
