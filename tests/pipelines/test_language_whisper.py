"""Whisper as a language classifier."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clips import noise
from closeness import numbers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_checkpoints import small_checkpoint

from config.checkpoint_types import WhisperArchitecture
from config.checkpoints import FAMILIES
from config.settings import CheckpointSource, EngineOptions, Family, Size
from pipelines import language_whisper
from pipelines.checkpoints import LocatedCheckpoint, locate
from pipelines.language_calibration import MAX_ENTROPY_NATS
from pipelines.language_whisper import WhisperLanguageIdentifier
from pipelines.whisper_checkpoint import whisper_architecture
from pipelines.whisper_languages import LANGUAGES, service_languages
from pipelines.whisper_network import WhisperNetwork
from training.layouts.labels import VOXLINGUA107
from training.layouts.whisper import write_calibration, write_small_layout
from training.layouts.writer import write_checkpoint
from voxgraph.errors import AudioTooShort, CheckpointError
from voxgraph.options import ModelKey
from voxgraph.results import UNKNOWN_LANGUAGE, Waveform

Clip = Callable[..., Waveform]
TORCH = EngineOptions(engine="torch", precision="float32")
OPENVINO = EngineOptions(engine="openvino", precision="float32")
SECOND = 16_000


def small_architecture() -> WhisperArchitecture:
    architecture = FAMILIES[ModelKey.LANGUAGE, Family.WHISPER].architectures[Size.SMALL]
    assert isinstance(architecture, WhisperArchitecture)
    return architecture


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> LocatedCheckpoint:
    """Random weights in the hub's layout."""
    folder = tmp_path_factory.mktemp("published")
    write_checkpoint(ModelKey.LANGUAGE, Size.SMALL, folder, family=Family.WHISPER)
    return located(folder)


def located(folder: Path) -> LocatedCheckpoint:
    source = CheckpointSource(source=str(folder), size=Size.SMALL, family=Family.WHISPER)
    return locate(ModelKey.LANGUAGE, source)


@pytest.fixture(scope="module", params=[TORCH, OPENVINO], ids=["torch", "openvino"])
def identifier(request: pytest.FixtureRequest, published: LocatedCheckpoint) -> WhisperLanguageIdentifier:
    return WhisperLanguageIdentifier(published, "cpu", request.param)


@pytest.fixture(scope="module")
def reference(published: LocatedCheckpoint) -> WhisperLanguageIdentifier:
    return WhisperLanguageIdentifier(published, "cpu", TORCH)


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(400, 5_000) | st.integers(5_000, 640_000), min_size=1, max_size=5))
def test_a_clip_in_a_batch_answers_as_it_does_alone_on_either_engine(
    identifier: WhisperLanguageIdentifier, reference: WhisperLanguageIdentifier, lengths: list[int]
) -> None:
    clips = [noise(samples, seed) for seed, samples in enumerate(lengths)]

    for clip, found in zip(clips, identifier(clips), strict=True):
        (alone,) = reference([clip])
        assert np.abs(numbers(found) - numbers(alone)).max() <= 1e-5


def test_the_probabilities_are_of_99_languages_and_sum_to_one(
    identifier: WhisperLanguageIdentifier, clip: Clip
) -> None:
    (found,) = identifier([clip(SECOND)])

    assert len(found.probabilities) == 99
    assert math.isclose(sum(found.probabilities.values()), 1.0, rel_tol=1e-6)


def test_a_clip_is_answered_as_it_is_with_silence_behind_it(
    reference: WhisperLanguageIdentifier, clip: Clip
) -> None:
    padded = np.zeros(10 * SECOND, np.float32)
    padded[: 6 * SECOND] = clip(6 * SECOND)

    (found,), (expected,) = reference([clip(6 * SECOND)]), reference([padded])

    assert found == expected


@pytest.mark.parametrize("samples", [2 * SECOND, 2 * SECOND + 1, 5 * SECOND])
def test_a_short_clip_is_the_mean_of_two_places_in_the_window(
    samples: int, reference: WhisperLanguageIdentifier, clip: Clip
) -> None:
    """Both places are windows of their own here, and are heard at no third place."""
    first, middle = np.zeros((2, 10 * SECOND), np.float32)
    first[:samples] = clip(samples)
    start = (10 * SECOND - samples) // 2 // 320 * 320 + 160
    middle[start : start + samples] = clip(samples)

    found, expected = (
        reference.log_probabilities([clip(samples)]),
        reference.log_probabilities([first, middle]),
    )

    assert torch.allclose(found, expected.mean(dim=0), atol=1e-6)
    assert not torch.allclose(expected[0], expected[1], atol=1e-3)


def test_a_long_recording_is_the_mean_of_its_windows_log_probabilities(
    reference: WhisperLanguageIdentifier, clip: Clip
) -> None:
    windows = [clip(10 * SECOND, seed) for seed in range(3)]
    logs = np.mean([np.log(numbers(result)) for result in reference(windows)], axis=0)

    (found,) = reference([np.concatenate(windows)])

    assert np.abs(numbers(found) - np.exp(logs) / np.exp(logs).sum()).max() <= 1e-5


def test_an_hour_costs_three_windows(
    reference: WhisperLanguageIdentifier, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    run = reference._run
    monkeypatch.setattr(reference, "_run", lambda batch: asked.append(len(batch)) or run(batch))

    reference([np.tile(clip(60 * SECOND), 60)])

    assert asked == [language_whisper.MAX_WINDOWS]


def answering(identifier: WhisperLanguageIdentifier, monkeypatch: pytest.MonkeyPatch, logits: Any) -> None:
    """Let the network answer these logits for every window."""
    row = torch.tensor([*logits, 0.0])
    monkeypatch.setattr(identifier, "_run", lambda batch: row.expand(len(batch), -1))


@pytest.mark.parametrize("languages", [1, 2, 4, 5, 99])
def test_a_language_is_named_up_to_an_entropy_and_unknown_above(
    languages: int, reference: WhisperLanguageIdentifier, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where so many languages are equally probable the entropy is the logarithm of their number."""
    logits = np.full(99, -50.0)
    logits[7 : 7 + languages] = 0.0
    if languages == 99:
        logits[:] = 0.0
    answering(reference, monkeypatch, logits)

    (found,) = reference([clip(SECOND)])

    best = max(found.probabilities.values())
    assert math.isclose(best, 1 / languages, rel_tol=1e-6)
    if math.log(languages) <= MAX_ENTROPY_NATS:
        assert (found.language, found.name) == ("ja", "Japanese")
        assert found.confidence == best
    else:
        assert (found.language, found.name) == (UNKNOWN_LANGUAGE, UNKNOWN_LANGUAGE)
        assert found.confidence == 1 - best


def test_codes_are_those_of_the_service(identifier: WhisperLanguageIdentifier, clip: Clip) -> None:
    (found,) = identifier([clip(SECOND)])

    assert {"he", "jv", "no", "nn", "tl", "zh"} <= found.probabilities.keys()
    assert not {"iw", "jw"} & found.probabilities.keys()


def test_a_language_has_the_name_that_the_other_model_gives_it() -> None:
    names = dict(label.split(": ") for label in VOXLINGUA107)

    assert {names.get({"he": "iw", "jv": "jw"}.get(code, code)) for code, _ in service_languages(99)} == {
        name for _, name in service_languages(99)
    }
    assert len({code for code, _ in service_languages(100)}) == 100


def test_the_languages_come_in_the_order_of_transformers() -> None:
    from transformers.models.whisper.tokenization_whisper import LANGUAGES as PUBLISHED

    assert [label.partition(": ")[0] for label in LANGUAGES] == [*PUBLISHED]


def test_a_recording_above_full_scale_is_answered_as_one_at_full_scale(
    reference: WhisperLanguageIdentifier, clip: Clip
) -> None:
    quiet = clip(2 * SECOND)
    full = quiet / np.abs(quiet).max()

    (found,), (expected,) = reference([32_767 * full]), reference([full])

    assert np.abs(numbers(found) - numbers(expected)).max() <= 1e-5


def test_a_clip_below_the_minimum_is_refused(identifier: WhisperLanguageIdentifier, clip: Clip) -> None:
    assert identifier([clip(identifier.min_samples)])
    with pytest.raises(AudioTooShort, match=r"399 samples; Whisper needs 400 \(0\.025 s\)"):
        identifier([clip(SECOND), clip(identifier.min_samples - 1)])


def test_it_says_what_it_is(identifier: WhisperLanguageIdentifier, published: LocatedCheckpoint) -> None:
    info = identifier.info

    assert (info.key, info.hub_id, info.source) == ("language", "openai/whisper-base", "local")
    assert info.labels == LANGUAGES[:99]
    assert info.revision == published.revision
    assert info.parameters > 100_000


def test_the_small_layout_answers_as_the_published_one_to_the_rounding_of_float16(
    published: LocatedCheckpoint, reference: WhisperLanguageIdentifier, clip: Clip, tmp_path: Path
) -> None:
    from dataclasses import replace

    from config.starter_checkpoints import STARTER_CHECKPOINTS
    from pipelines.whisper_checkpoint import load_whisper

    write_small_layout(load_whisper(published), small_architecture(), tmp_path)
    write_calibration(tmp_path)
    small = replace(published, row=STARTER_CHECKPOINTS[ModelKey.LANGUAGE], folder=tmp_path)
    small = replace(small, row=replace(small.row, architectures=published.row.architectures))

    (found,) = WhisperLanguageIdentifier(small, "cpu", TORCH)([clip(SECOND)])

    (expected,) = reference([clip(SECOND)])
    assert 0 < np.abs(numbers(found) - numbers(expected)).max() < 0.05


def copied(checkpoint: LocatedCheckpoint, folder: Path, **sizes: Any) -> LocatedCheckpoint:
    """The same tensors with another ``config.json``."""
    (folder / "model.safetensors").symlink_to(checkpoint.file("model.safetensors"))
    config = json.loads(checkpoint.file("config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | sizes))
    return located(folder)


def test_another_number_of_heads_is_refused(published: LocatedCheckpoint, tmp_path: Path) -> None:
    checkpoint = copied(published, tmp_path, encoder_attention_heads=8)

    with pytest.raises(CheckpointError, match="encoder_attention_heads 8; the model has 4"):
        WhisperLanguageIdentifier(checkpoint, "cpu")


@pytest.mark.parametrize("content", ["[]", "{", "[" * 100_000])
def test_a_config_that_is_no_object_of_sizes_is_refused(
    content: str, published: LocatedCheckpoint, tmp_path: Path
) -> None:
    checkpoint = copied(published, tmp_path)
    (tmp_path / "config.json").write_text(content)

    with pytest.raises(CheckpointError, match=r"config\.json is not"):
        WhisperLanguageIdentifier(checkpoint, "cpu")


def test_tensors_of_another_size_are_refused(published: LocatedCheckpoint, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    checkpoint = copied(published, tmp_path)
    tensors = load_file(published.file("model.safetensors"))
    (tmp_path / "model.safetensors").unlink()
    for name, message in (
        ("model.decoder.embed_tokens.weight", "embed_tokens"),
        ("model.encoder.conv1.bias", "openai/whisper-base does not fit the architecture"),
    ):
        save_file(tensors | {name: tensors[name][:-1].contiguous()}, tmp_path / "model.safetensors")
        with pytest.raises(CheckpointError, match=message):
            WhisperLanguageIdentifier(checkpoint, "cpu")


def test_a_checkpoint_of_another_family_is_refused() -> None:
    checkpoint = small_checkpoint(ModelKey.LANGUAGE)

    with pytest.raises(CheckpointError, match="lang-id-voxlingua107-ecapa is not a Whisper checkpoint"):
        whisper_architecture(checkpoint)


def test_the_full_size_network_has_as_many_weights_as_its_parts() -> None:
    """Whisper base has 72.6 million: 26.6 million of them are of tokens and positions that are not needed."""
    network = WhisperNetwork(WhisperArchitecture())

    assert sum(parameter.numel() for parameter in network.parameters()) == 42_712_576


def test_an_answer_of_the_hub_s_layout_is_not_calibrated(
    reference: WhisperLanguageIdentifier, clip: Clip
) -> None:
    (found,) = reference([clip(SECOND)])

    assert not found.calibrated
    assert found.min_confidence == 0.0
