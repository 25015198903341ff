"""Every checkpoint of the table loads from its layout, from a folder as from the demo, and answers."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from config.settings import CheckpointSource, ModelKey, Size, SpeakerCount
from pipelines.accent import EcapaAccentClassifier
from pipelines.accent_xlsr import XlsrAccentClassifier
from pipelines.checkpoints import LocatedCheckpoint, locate
from pipelines.deepfake import DeepfakeDetector
from pipelines.diarization import Diarizer
from pipelines.language import LanguageIdentifier
from pipelines.results import Waveform
from pipelines.speaker import SpeakerEncoder

LOADERS: dict[ModelKey, Callable[[LocatedCheckpoint, str], Any]] = {
    ModelKey.LANGUAGE: LanguageIdentifier,
    ModelKey.SPEAKER_VOXCELEB: SpeakerEncoder,
    ModelKey.SPEAKER_CNCELEB: SpeakerEncoder,
    ModelKey.ACCENT_XLSR: XlsrAccentClassifier,
    ModelKey.ACCENT_ECAPA: EcapaAccentClassifier,
    ModelKey.DEEPFAKE: DeepfakeDetector,
    ModelKey.DIARIZATION_31: Diarizer,
    ModelKey.DIARIZATION_COMMUNITY_1: Diarizer,
}


def answer(pipeline: Any, waveform: Waveform) -> Any:
    if isinstance(pipeline, Diarizer):
        return pipeline(waveform, SpeakerCount())
    (found,) = pipeline([waveform])
    return found


@pytest.mark.parametrize("model", ModelKey)
def test_a_local_folder_answers_as_the_demo_it_is_a_copy_of(
    model: ModelKey, demo: Callable[[ModelKey], LocatedCheckpoint], clip: Callable[..., Waveform]
) -> None:
    written = demo(model)
    source = CheckpointSource(source=str(written.folder), size=Size.DEMO)
    found, copy = (
        LOADERS[model](checkpoint, "cpu") for checkpoint in (written, locate(model, source, Path()))
    )

    assert (found.info.key, found.info.source, copy.info.source) == (model, "demo", "local")
    expected, copied = answer(found, clip(40_000)), answer(copy, clip(40_000))
    if model in (ModelKey.SPEAKER_VOXCELEB, ModelKey.SPEAKER_CNCELEB):
        assert copied.vector.tolist() == expected.vector.tolist()
    else:
        assert copied == expected


@pytest.mark.parametrize("model", ModelKey)
def test_a_demo_can_be_read_by_others(model: ModelKey, demo: Callable[[ModelKey], LocatedCheckpoint]) -> None:
    for path in demo(model).folder.rglob("*"):
        assert path.is_dir() or path.stat().st_mode & stat.S_IRGRP, path
