"""The starter's heads on Whisper's encoder: accent and deepfake."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clips import noise
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from config.checkpoint_types import (
    AccentHeadArchitecture,
    DeepfakeHeadArchitecture,
    WhisperArchitecture,
    WhisperHeadArchitecture,
)
from config.settings import CheckpointSource, EngineOptions, Size
from config.starter_checkpoints import STARTER_CHECKPOINTS
from pipelines import whisper_head
from pipelines.accent_whisper import WhisperAccentClassifier
from pipelines.checkpoints import LocatedCheckpoint, locate
from pipelines.deepfake_whisper import WhisperDeepfakeDetector
from pipelines.whisper_head import Calibration, WindowStatistics, head_architecture
from training.layouts.whisper import write_whisper_head
from voxgraph.errors import AudioTooShort, CheckpointError
from voxgraph.options import ModelKey
from voxgraph.results import Finding, Waveform

Clip = Callable[..., Waveform]
TORCH = EngineOptions(engine="torch", precision="float32")
OPENVINO = EngineOptions(engine="openvino", precision="float32")
SMALL = WhisperArchitecture(
    hidden_size=64, encoder_layers=3, decoder_layers=1, attention_heads=4, intermediate_size=128,
    positions=600,
)  # fmt: skip
ACCENT = AccentHeadArchitecture((2,), 2, 3, ("us", "other"), SMALL)
DEEPFAKE = DeepfakeHeadArchitecture((1, 2), 1, 3, ("fake", "real"), SMALL)


UNORDERED = {
    "calibration": {"scale": 1, "offset": 0},
    "operating_points": {"ai_generated": 0.1, "no_sign_found": 0.2},
}


def written(model: ModelKey, architecture: WhisperHeadArchitecture, folder: Path) -> LocatedCheckpoint:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        write_whisper_head(architecture, folder)
    row = replace(STARTER_CHECKPOINTS[model], architectures={Size.STARTER: architecture})
    return LocatedCheckpoint(row, folder, architecture, "local", "local-0")


@pytest.fixture(scope="module")
def accent(tmp_path_factory: pytest.TempPathFactory) -> LocatedCheckpoint:
    return written(ModelKey.ACCENT_XLSR, ACCENT, tmp_path_factory.mktemp("accent"))


@pytest.fixture(scope="module")
def deepfake(tmp_path_factory: pytest.TempPathFactory) -> LocatedCheckpoint:
    return written(ModelKey.DEEPFAKE, DEEPFAKE, tmp_path_factory.mktemp("deepfake"))


@pytest.fixture(scope="module", params=[TORCH, OPENVINO], ids=["torch", "openvino"])
def classifier(request: pytest.FixtureRequest, accent: LocatedCheckpoint) -> WhisperAccentClassifier:
    return WhisperAccentClassifier(accent, "cpu", request.param)


@pytest.fixture(scope="module")
def reference(accent: LocatedCheckpoint) -> WhisperAccentClassifier:
    return WhisperAccentClassifier(accent, "cpu", TORCH)


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(400, 5_000) | st.integers(5_000, 160_000), min_size=1, max_size=5))
def test_a_clip_in_a_batch_answers_as_it_does_alone_on_either_engine(
    classifier: WhisperAccentClassifier, reference: WhisperAccentClassifier, lengths: list[int]
) -> None:
    clips = [noise(samples, seed) for seed, samples in enumerate(lengths)]

    for clip, found in zip(clips, classifier(clips), strict=True):
        (alone,) = reference([clip])
        assert found.probabilities["us"] == pytest.approx(alone.probabilities["us"], rel=1e-4)


def test_the_statistics_are_those_of_transformers_hidden_states(
    accent: LocatedCheckpoint, clip: Clip
) -> None:
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    config = WhisperConfig(
        d_model=64, encoder_layers=3, encoder_attention_heads=4, encoder_ffn_dim=128, num_mel_bins=80,
        max_source_positions=100,
    )  # fmt: skip
    theirs = WhisperEncoder(config).eval()
    statistics = WindowStatistics(accent, "cpu", TORCH)
    state = whisper_head.load_tensors(accent.file("encoder/encoder.safetensors"))
    tensors = {name: tensor.float() for name, tensor in whisper_head.dequantized(state).items()}
    tensors["embed_positions.weight"] = tensors["embed_positions.weight"][:100]
    theirs.load_state_dict(tensors)
    waveform = clip(32_000)

    (found,) = statistics([waveform])

    features = whisper_head.log_mel(torch.from_numpy(waveform.copy())[None], statistics._filters)
    with torch.inference_mode():
        states = theirs(features, output_hidden_states=True).hidden_states[2][0]
    expected = torch.cat((states.mean(dim=0), states.std(dim=0, correction=0)))
    torch.testing.assert_close(found[0, 0], expected, rtol=1e-3, atol=1e-5)


def test_silence_behind_a_clip_is_heard_but_not_counted(accent: LocatedCheckpoint, clip: Clip) -> None:
    statistics = WindowStatistics(accent, "cpu", TORCH)
    padded = np.zeros(32_000, np.float32)
    padded[:16_000] = clip(16_000)

    (found,), (counted,) = statistics([clip(16_000)]), statistics([padded])

    assert not torch.allclose(found, counted, rtol=0.01)


def test_a_long_recording_is_the_mean_of_its_windows_scores(
    reference: WhisperAccentClassifier, clip: Clip
) -> None:
    windows = [clip(32_000, seed) for seed in range(3)]
    chances = np.array([result.probabilities["us"] for result in reference(windows)])
    score = np.log(chances / (1 - chances)).mean()

    (found,) = reference([np.concatenate(windows)])

    assert found.probabilities["us"] == pytest.approx(1 / (1 + np.exp(-score)), rel=1e-4)


def test_an_hour_costs_three_windows(
    reference: WhisperAccentClassifier, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    statistics = reference.statistics
    run = statistics._run
    monkeypatch.setattr(statistics, "_run", lambda *args: asked.append(len(args[0])) or run(*args))

    reference([np.tile(clip(960_000), 60)])

    assert asked == [3]


def test_the_answer_is_calibrated_and_of_two_labels(reference: WhisperAccentClassifier, clip: Clip) -> None:
    (found,) = reference([clip(32_000)])

    assert found.calibrated
    assert found.probabilities.keys() == {"us", "other"}
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert found.us_confidence == (found.confidence if found.accent == "us" else 0.0)


def test_a_clip_below_the_minimum_is_refused(classifier: WhisperAccentClassifier, clip: Clip) -> None:
    assert classifier([clip(classifier.min_samples)])
    with pytest.raises(AudioTooShort, match=r"399 samples; Whisper needs 400"):
        classifier([clip(16_000), clip(399)])


def test_a_detector_has_the_operating_points_of_its_checkpoint(
    deepfake: LocatedCheckpoint, clip: Clip
) -> None:
    torch_detector, openvino_detector = (
        WhisperDeepfakeDetector(deepfake, "cpu", options) for options in (TORCH, OPENVINO)
    )

    (found, other), (alone,) = torch_detector([clip(16_000), clip(9_000)]), openvino_detector([clip(16_000)])

    assert (found.points.ai_generated, found.points.no_sign_found, found.points.fitted) == (0.9, 0.1, True)
    assert found.ai_generated == pytest.approx(alone.ai_generated, rel=1e-4)
    assert found.real == pytest.approx(1 - found.ai_generated)
    assert found.verdict in set(Finding)
    assert torch_detector.info.labels == ("fake", "real")
    assert other.ai_generated != found.ai_generated


def altered(checkpoint: LocatedCheckpoint, folder: Path, content: Any) -> LocatedCheckpoint:
    """The same tensors with another ``config.json``."""
    for name in ("encoder", "head.safetensors"):
        (folder / name).symlink_to(checkpoint.folder / name)
    (folder / "config.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return LocatedCheckpoint(checkpoint.row, folder, checkpoint.architecture, "local", "local-1")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "is not JSON"),
        ("[]", "is not an object"),
        ({}, "no object calibration"),
        ({"calibration": {"scale": 0, "offset": 0}}, "config.json says scale 0; it must"),
        ({"calibration": {"scale": True, "offset": 0}}, "config.json says scale True, which is not a number"),
        ('{"calibration": {"scale": 1, "offset": NaN}}', "config.json says offset nan; it must be finite"),
        ({"calibration": {"scale": 1, "offset": 0}}, "no object operating_points"),
        (UNORDERED, "no operating points in order"),
    ],
)  # fmt: skip
def test_a_damaged_configuration_is_refused(
    content: Any, message: str, deepfake: LocatedCheckpoint, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=message):
        WhisperDeepfakeDetector(altered(deepfake, tmp_path, content), "cpu", TORCH)


def test_a_head_of_another_size_is_refused(accent: LocatedCheckpoint, tmp_path: Path) -> None:
    config = json.loads(accent.file("config.json").read_text())
    checkpoint = altered(accent, tmp_path, config)
    tensors = load_file(accent.file("head.safetensors"))
    (tmp_path / "head.safetensors").unlink()
    save_file(tensors | {"weight": tensors["weight"][:, 1:].contiguous()}, tmp_path / "head.safetensors")

    with pytest.raises(CheckpointError, match="accent-whisper-base head does not fit the architecture"):
        WhisperAccentClassifier(checkpoint, "cpu", TORCH)


def test_a_checkpoint_of_another_family_is_refused() -> None:
    language = locate(ModelKey.LANGUAGE, CheckpointSource(source="starter"))

    with pytest.raises(CheckpointError, match="whisper-base is not a head on Whisper's encoder"):
        head_architecture(language)


def test_a_calibration_never_overflows() -> None:
    calibration = Calibration(2.0, -1.0)

    assert calibration.probability(0.5) == 0.5
    assert (calibration.probability(-1e9), calibration.probability(1e9)) == (0.0, 1.0)
    assert calibration.probability(1.0) == pytest.approx(1 / (1 + np.exp(-1)))
