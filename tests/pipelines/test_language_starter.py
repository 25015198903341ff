"""The starter's Whisper on real and made-up recordings."""

from dataclasses import replace

import numpy as np
import pytest
import recordings
import torch
from clips import noise
from closeness import numbers

from config.settings import CheckpointSource, EngineOptions
from pipelines.checkpoints import locate
from pipelines.engines import openvino
from pipelines.language_calibration import language_calibration
from pipelines.language_whisper import WhisperLanguageIdentifier
from pipelines.whisper_languages import service_languages
from voxgraph.options import ModelKey
from voxgraph.results import UNKNOWN_LANGUAGE

TORCH = EngineOptions(engine="torch", precision="float32")
BFLOAT16 = EngineOptions(engine="openvino", precision="bfloat16")
SECOND = 16_000


@pytest.fixture(scope="module")
def starter() -> WhisperLanguageIdentifier:
    return WhisperLanguageIdentifier(
        locate(ModelKey.LANGUAGE, CheckpointSource(source="starter")), "cpu", TORCH
    )


@pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() != "AVX512", reason="OpenVINO imitates bfloat16 on AVX512 only"
)
def test_in_bfloat16_the_probabilities_hardly_move(
    starter: WhisperLanguageIdentifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "cpu_capabilities", lambda: ["FP32", "BF16"])
    checkpoint = locate(ModelKey.LANGUAGE, CheckpointSource(source="starter"))
    tested = WhisperLanguageIdentifier(checkpoint, "cpu", BFLOAT16)
    assert tested.info.precision == "bfloat16"

    for name in ("en_m3.flac", "zh_f3.flac", "ja_m3.flac"):
        (found,), (expected,) = tested([recordings.samples(name)]), starter([recordings.samples(name)])
        assert found.language == expected.language
        assert np.abs(numbers(found) - numbers(expected)).max() < 0.05


@pytest.mark.parametrize(
    ("name", "language"),
    [("voice.wav", "en"), ("en_m3.flac", "en"), ("zh_f3.flac", "zh"), ("ja_m3.flac", "ja"),
     ("es_f3.flac", "es"), ("conversation.flac", "en"), ("accent_us_m3.flac", "en")],
)  # fmt: skip
def test_the_starter_checkpoint_recognises_languages(
    name: str, language: str, starter: WhisperLanguageIdentifier
) -> None:
    (found,) = starter([recordings.samples(name)])

    assert found.language == language
    assert found.confidence > 0.8
    assert found.calibrated
    assert found.is_speech


def test_the_starter_checkpoint_does_not_guess_where_nobody_speaks(
    starter: WhisperLanguageIdentifier,
) -> None:
    time = np.arange(5 * SECOND) / SECOND
    silence = np.zeros(3 * SECOND, np.float32)
    tone = (0.3 * np.sin(2 * np.pi * 500 * time)).astype(np.float32)

    generator = np.random.default_rng(0)
    white = (0.1 * generator.normal(size=3 * SECOND)).astype(np.float32)
    brown = np.cumsum(generator.normal(size=3 * SECOND)).astype(np.float32)
    clips = [silence, tone, white, 0.5 * brown / np.abs(brown).max(), noise(4 * SECOND, 1)]

    results = starter(clips)

    assert [result.language for result in results] == [UNKNOWN_LANGUAGE] * len(clips)
    for result in results[:2]:
        assert not result.is_heard
        assert result.is_speech is False
        assert result.among({"en": "English", "de": "German"}).language == UNKNOWN_LANGUAGE


def test_a_calibrated_answer_is_the_same_alone_and_in_a_batch(starter: WhisperLanguageIdentifier) -> None:
    sentence = recordings.samples("en_m3.flac")
    clips = [sentence, noise(2 * SECOND, 3), sentence[:SECOND], recordings.samples("ja_m3.flac")]

    for clip, found in zip(clips, starter(clips), strict=True):
        (alone,) = starter([clip])
        assert np.abs(numbers(found) - numbers(alone)).max() <= 1e-5
        assert (found.language, found.is_heard, found.warning) == (
            alone.language, alone.is_heard, alone.warning,
        )  # fmt: skip


def test_an_answer_about_a_second_is_less_sure_than_one_temperature_would_make_it(
    starter: WhisperLanguageIdentifier,
) -> None:
    second = recordings.samples("en_m3.flac")[:SECOND]
    codes = [code for code, _ in service_languages(99)]
    logs = starter.log_probabilities([second])[0, : len(codes)]
    calibration = language_calibration(locate(ModelKey.LANGUAGE, CheckpointSource(source="starter")), codes)

    (found,) = starter([second])

    assert [*found.probabilities.values()] == pytest.approx(calibration.probabilities(logs, 1.0), abs=1e-5)
    one = replace(calibration, temperature_at_0_s=None)
    assert max(found.probabilities.values()) < max(one.probabilities(logs, 1.0))


def test_an_answer_about_a_short_clip_says_so(starter: WhisperLanguageIdentifier) -> None:
    sentence = recordings.samples("en_m3.flac")

    short, whole = starter([sentence[: 2 * SECOND], np.tile(sentence, 3)])

    assert short.warning is not None
    assert whole.warning is None
