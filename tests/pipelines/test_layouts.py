"""Test that every checkpoint loads from its layout in a folder, and runs."""

import contextlib
import re
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from small_checkpoints import FOLDER, small_checkpoint
from torch.nn.modules.module import register_module_forward_pre_hook

from config.settings import EngineOptions, Size
from pipelines.accent import EcapaAccentClassifier
from pipelines.accent_xlsr import XlsrAccentClassifier
from pipelines.checkpoints import LocatedCheckpoint
from pipelines.deepfake import DeepfakeDetector
from pipelines.diarization import Diarizer, diarizer
from pipelines.language import LanguageIdentifier
from pipelines.pieces import Piecewise
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


def run_network(pipeline: Any, waveform: Waveform) -> None:
    """Run what computes on the device; answers are joined on the CPU, perhaps in another thread."""
    if isinstance(pipeline, Piecewise):
        pipeline.run(pipeline.cut(waveform))
    else:
        run(pipeline, waveform)


def run(pipeline: Any, waveform: Waveform) -> Any:
    if isinstance(pipeline, Diarizer):
        return pipeline(waveform, SpeakerCount())
    (found,) = pipeline([waveform])
    return found


@pytest.mark.parametrize("model", ModelKey)
def test_a_checkpoint_in_a_folder_loads_and_runs(model: ModelKey, clip: Callable[..., Waveform]) -> None:
    checkpoint = small_checkpoint(model)
    pipeline = LOADERS[model](checkpoint, "cpu")

    assert (pipeline.info.key, pipeline.info.source, checkpoint.size) == (model, "local", Size.SMALL)
    assert pipeline.info.revision == checkpoint.revision
    assert re.fullmatch("local-[0-9a-f]{12}", checkpoint.revision)
    again = LOADERS[model](small_checkpoint(model), "cpu")
    first, second = run(pipeline, clip(40_000)), run(again, clip(40_000))
    if model in (ModelKey.SPEAKER_VOXCELEB, ModelKey.SPEAKER_CNCELEB):
        assert second.vector.tolist() == first.vector.tolist()
    else:
        assert second == first


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
        run_network(pipeline, clip(40_000))
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
        LOADERS[model](small_checkpoint(model), "cpu")

    assert torch.equal(torch.get_rng_state(), before)


def test_the_checkpoints_of_the_tests_are_small() -> None:
    sizes = [path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()]

    assert {path.name for path in FOLDER.iterdir() if path.is_dir()} == set(ModelKey)
    assert sum(sizes) < 12e6
