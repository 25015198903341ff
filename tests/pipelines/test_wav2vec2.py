"""Test the two wav2vec 2.0 pipelines: batches change no result with either norm; wrong files are refused."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from closeness import relative_difference
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from config.settings import CheckpointSource, Size
from pipelines.accent_xlsr import XlsrAccentClassifier
from pipelines.checkpoints import LocatedCheckpoint, locate
from pipelines.deepfake import DeepfakeDetector
from pipelines.wav2vec2 import MIN_SAMPLES
from voxgraph.errors import AudioTooShort, CheckpointError
from voxgraph.options import ModelKey
from voxgraph.results import AccentResult, DeepfakeScore, Waveform

Small = Callable[[ModelKey], LocatedCheckpoint]
Clip = Callable[..., Waveform]
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def classifier(small: Small) -> XlsrAccentClassifier:
    return XlsrAccentClassifier(small(ModelKey.ACCENT_XLSR), "cpu")


@pytest.fixture(scope="module")
def detector(small: Small) -> DeepfakeDetector:
    return DeepfakeDetector(small(ModelKey.DEEPFAKE), "cpu")


@pytest.fixture(params=["classifier", "detector"])
def pipeline(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def numbers(result: AccentResult | DeepfakeScore) -> list[float]:
    if isinstance(result, DeepfakeScore):
        return [result.ai_generated, result.real]
    return list(result.probabilities.values())


ONE_LENGTH = st.sampled_from([MIN_SAMPLES, 1_600, 8_000]) | st.integers(MIN_SAMPLES, 48_000)
LENGTHS = st.lists(ONE_LENGTH, min_size=2, max_size=6)


@pytest.mark.parametrize("name", ["classifier", "detector"])
def test_a_clip_in_a_batch_gives_the_same_result_as_alone(
    name: str, request: pytest.FixtureRequest, clip: Clip
) -> None:
    pipeline = request.getfixturevalue(name)

    @settings(max_examples=15, deadline=None)
    @given(LENGTHS)
    def check(lengths: list[int]) -> None:
        clips = [clip(samples, seed) for seed, samples in enumerate(lengths)]
        for waveform, found in zip(clips, pipeline(clips), strict=True):
            (alone,) = pipeline([waveform])
            assert relative_difference(numbers(found), numbers(alone)) < TOLERANCE

    check()


def test_two_clips_have_different_results(pipeline: Any, clip: Clip) -> None:
    first, second = pipeline([clip(16_000, seed=1), clip(16_000, seed=2)])

    assert numbers(first) != numbers(second)


def test_loudness_and_offset_change_nothing(pipeline: Any, clip: Clip) -> None:
    waveform = clip(16_000)

    plain, changed = pipeline([waveform, 0.5 * waveform + 0.1])

    assert relative_difference(numbers(changed), numbers(plain)) < 1e-3


def test_silence_has_a_result(pipeline: Any) -> None:
    (found,) = pipeline([np.zeros(16_000, np.float32)])

    assert math.isclose(sum(numbers(found)), 1.0, rel_tol=1e-5)


def test_a_clip_shorter_than_the_receptive_field_is_refused(pipeline: Any, clip: Clip) -> None:
    assert len(pipeline([clip(MIN_SAMPLES)])) == 1
    with pytest.raises(AudioTooShort, match="400"):
        pipeline([clip(16_000), clip(MIN_SAMPLES - 1)])


def test_the_accent_is_the_most_probable_label(classifier: XlsrAccentClassifier, clip: Clip) -> None:
    (found,) = classifier([clip(16_000)])

    assert len(found.probabilities) == 16
    assert "us" in found.probabilities
    assert found.probabilities[found.accent] == max(found.probabilities.values())


def altered(small: Small, folder: Path, **changes: Any) -> LocatedCheckpoint:
    """Copy the deepfake checkpoint with other fields in its config.json; None removes a field."""
    shutil.copytree(small(ModelKey.DEEPFAKE).folder, folder, dirs_exist_ok=True)
    config = json.loads((folder / "config.json").read_text()) | changes
    kept = {name: value for name, value in config.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(kept))
    source = CheckpointSource(source=str(folder), size=Size.SMALL)
    return locate(ModelKey.DEEPFAKE, source)


def test_the_classes_are_those_of_the_configuration(
    small: Small, detector: DeepfakeDetector, clip: Clip, tmp_path: Path
) -> None:
    swapped = DeepfakeDetector(altered(small, tmp_path, id2label={"0": "Real", "1": "Fake"}), "cpu")

    (found,), (expected,) = swapped([clip(16_000)]), detector([clip(16_000)])

    assert swapped.info.labels == ("real", "fake")
    assert (found.ai_generated, found.real) == (expected.real, expected.ai_generated)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id2label": None}, "no id2label"),
        ({"id2label": ["fake", "real"]}, "no id2label"),
        ({"id2label": {"zero": "fake"}}, "no id2label"),
        ({"id2label": {"0": "cat", "1": "dog"}}, "expected fake and real"),
        ({"id2label": {"0": "fake", "1": "real", "2": "both"}}, "expected fake and real"),
        ({"feat_extract_norm": "layer"}, "feat_extract_norm is 'layer'"),
        ({"conv_stride": [5, 2, 2, 2, 2, 2, 4]}, "conv_stride"),
        ({"num_attention_heads": 8}, "num_attention_heads is 8"),
    ],
)
def test_a_configuration_of_another_model_is_refused(
    changes: dict[str, Any], message: str, small: Small, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=message):
        DeepfakeDetector(altered(small, tmp_path, **changes), "cpu")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"do_normalize": False}, "do_normalize is False"),
        ({"sampling_rate": 8_000}, "sampling_rate is 8000"),
        ({"feature_size": 80}, "feature_size is 80"),
    ],
)
def test_a_network_that_was_trained_on_other_input_is_refused(
    changes: dict[str, Any], message: str, small: Small, tmp_path: Path
) -> None:
    checkpoint = altered(small, tmp_path)
    path = checkpoint.file("preprocessor_config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    with pytest.raises(CheckpointError, match=message):
        DeepfakeDetector(checkpoint, "cpu")


@pytest.mark.parametrize("text", ["", "{", "[]", "5"])
def test_a_configuration_that_is_not_an_object_is_refused(text: str, small: Small, tmp_path: Path) -> None:
    checkpoint = altered(small, tmp_path)
    checkpoint.file("config.json").write_text(text)

    with pytest.raises(CheckpointError, match=r"config\.json is not (JSON: |a JSON object\.)"):
        DeepfakeDetector(checkpoint, "cpu")


def test_tensors_of_another_architecture_are_refused(small: Small, tmp_path: Path) -> None:
    checkpoint = altered(small, tmp_path)
    tensors = load_file(checkpoint.file("model.safetensors"))
    del tensors["projector.bias"]
    save_file(tensors | {"extra.weight": torch.ones(1)}, checkpoint.file("model.safetensors"))

    with pytest.raises(CheckpointError, match=r"missing projector\.bias; unexpected extra\.weight"):
        DeepfakeDetector(checkpoint, "cpu")


def test_names_of_weight_norm_before_and_after_torch_2_load_alike(
    small: Small, detector: DeepfakeDetector, clip: Clip, tmp_path: Path
) -> None:
    checkpoint = altered(small, tmp_path)
    tensors = load_file(checkpoint.file("model.safetensors"))
    assert any("conv.weight_g" in key for key in tensors)
    names = {"conv.weight_g": "conv.parametrizations.weight.original0",
             "conv.weight_v": "conv.parametrizations.weight.original1"}  # fmt: skip
    for old, new in names.items():
        tensors = {key.replace(old, new): tensor for key, tensor in tensors.items()}
    save_file(tensors, checkpoint.file("model.safetensors"))

    (found,), (expected,) = DeepfakeDetector(checkpoint, "cpu")([clip(16_000)]), detector([clip(16_000)])

    assert found == expected
