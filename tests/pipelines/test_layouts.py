"""Test that every checkpoint loads from its layout, from a local folder and from the demo, and runs."""

import contextlib
import json
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from config.settings import CheckpointSource, EngineOptions, Size
from pipelines.accent import EcapaAccentClassifier
from pipelines.accent_xlsr import XlsrAccentClassifier
from pipelines.checkpoints import DEMO_FOLDER, LocatedCheckpoint, locate
from pipelines.deepfake import DeepfakeDetector
from pipelines.diarization import Diarizer, diarizer
from pipelines.language import LanguageIdentifier
from pipelines.speaker import SpeakerEncoder
from voxgraph.options import ModelKey, SpeakerCount
from voxgraph.results import Waveform

LOADERS: dict[ModelKey, Callable[..., Any]] = {
    ModelKey.LANGUAGE: LanguageIdentifier,
    ModelKey.SPEAKER_VOXCELEB: SpeakerEncoder,
    ModelKey.SPEAKER_CNCELEB: SpeakerEncoder,
    ModelKey.ACCENT_XLSR: XlsrAccentClassifier,
    ModelKey.ACCENT_ECAPA: EcapaAccentClassifier,
    ModelKey.DEEPFAKE: DeepfakeDetector,
    ModelKey.DIARIZATION_31: Diarizer,
    ModelKey.DIARIZATION_COMMUNITY_1: Diarizer,
}


def run(pipeline: Any, waveform: Waveform) -> Any:
    if isinstance(pipeline, Diarizer):
        return pipeline(waveform, SpeakerCount())
    (found,) = pipeline([waveform])
    return found


@pytest.mark.parametrize("model", ModelKey)
def test_a_local_copy_of_a_demo_checkpoint_gives_the_same_results(
    model: ModelKey, clip: Callable[..., Waveform]
) -> None:
    written = locate(model, CheckpointSource(source="demo"))
    source = CheckpointSource(source=str(written.folder), size=Size.DEMO)
    found, copy = (LOADERS[model](checkpoint, "cpu") for checkpoint in (written, locate(model, source)))

    assert (found.info.key, found.info.source, copy.info.source) == (model, "demo", "local")
    assert found.info.revision.removeprefix("demo-") == copy.info.revision.removeprefix("local-")
    expected, copied = run(found, clip(40_000)), run(copy, clip(40_000))
    if model in (ModelKey.SPEAKER_VOXCELEB, ModelKey.SPEAKER_CNCELEB):
        assert copied.vector.tolist() == expected.vector.tolist()
    else:
        assert copied == expected


@pytest.mark.parametrize("model", ModelKey)
def test_tf32_is_off_while_a_pipeline_runs_and_restored_afterwards(
    model: ModelKey, small: Callable[[ModelKey], LocatedCheckpoint], clip: Callable[..., Waveform]
) -> None:
    pipeline = LOADERS[model](small(model), "cpu", EngineOptions(engine="torch"))
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    seen = []
    hook = register_module_forward_pre_hook(
        lambda *_: seen.append((products.allow_tf32, convolutions.allow_tf32))
    )
    products.allow_tf32 = convolutions.allow_tf32 = True
    try:
        run(pipeline, clip(40_000))
        assert (products.allow_tf32, convolutions.allow_tf32) == (True, True)
    finally:
        hook.remove()
        products.allow_tf32, convolutions.allow_tf32 = before

    assert set(seen) == {(False, False)}


class Loaded(Exception):
    """Raised once the networks have their weights; pyannote then draws random clips to try them with."""


@pytest.mark.parametrize("model", ModelKey)
def test_loading_draws_no_random_weights(model: ModelKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diarizer, "SpeakerDiarization", Mock(side_effect=Loaded))
    before = torch.get_rng_state()

    with contextlib.suppress(Loaded):
        LOADERS[model](locate(model, CheckpointSource(source="demo")), "cpu")

    assert torch.equal(torch.get_rng_state(), before)


def test_the_demo_checkpoints_are_small_and_have_cards() -> None:
    sizes = [path.stat().st_size for path in DEMO_FOLDER.rglob("*") if path.is_file()]

    assert sum(sizes) < 40e6
    for model in ModelKey:
        assert "must not be used" in (DEMO_FOLDER / model / "README.md").read_text()


@pytest.mark.parametrize("model", ModelKey)
def test_a_demo_checkpoint_has_its_figures(model: ModelKey) -> None:
    found = json.loads((DEMO_FOLDER / model / "figures.json").read_text())

    assert found["model"] == model
    shares = [
        value for name, value in found["figures"].items() if "voices" not in name and "found" not in name
    ]
    assert shares
    assert all(0 <= value <= 1 for value in shares)
