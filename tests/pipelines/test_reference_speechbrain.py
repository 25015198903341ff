"""Test that the ECAPA pipelines equal SpeechBrain's EncoderClassifier on full-size random checkpoints."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from closeness import relative_difference

from config.settings import EngineOptions
from pipelines.accent import MARGIN_LOSS_SCALE, EcapaAccentClassifier
from pipelines.checkpoints import LocatedCheckpoint
from pipelines.language import LanguageIdentifier
from pipelines.speaker import SpeakerEncoder
from voxgraph.options import ModelKey
from voxgraph.results import Waveform

TOLERANCE = 1e-4
Full = Callable[[ModelKey], LocatedCheckpoint]
Clip = Callable[..., Waveform]


@pytest.fixture(params=["torch", "openvino"])
def options(request: pytest.FixtureRequest) -> EngineOptions:
    return EngineOptions(engine=request.param, precision="float32")


def reference(checkpoint: LocatedCheckpoint) -> Any:
    from speechbrain.inference.classifiers import EncoderClassifier

    folder = str(checkpoint.folder)
    classifier = EncoderClassifier.from_hparams(
        source=folder, overrides={"pretrained_path": folder}, savedir=None, run_opts={"device": "cpu"}
    )
    classifier.hparams.label_encoder.ignore_len()
    return classifier


def batch(waveform: Waveform) -> torch.Tensor:
    return torch.tensor(waveform)[None]


@pytest.mark.parametrize("model", [ModelKey.SPEAKER_VOXCELEB, ModelKey.SPEAKER_CNCELEB])
@pytest.mark.parametrize("samples", [16_000, 55_555])
def test_a_voice_embeds_as_it_does_in_speechbrain(
    model: ModelKey, samples: int, full: Full, clip: Clip, options: EngineOptions
) -> None:
    waveform = clip(samples)
    expected = reference(full(model)).encode_batch(batch(waveform))[0, 0]

    (found,) = SpeakerEncoder(full(model), "cpu", options)([waveform])

    assert found.vector.shape == (192,)
    assert relative_difference(found.vector, expected) < TOLERANCE


def test_the_language_is_the_one_that_speechbrain_finds(
    full: Full, clip: Clip, options: EngineOptions
) -> None:
    waveform = clip(48_000)
    log_posteriors, _, _, (label,) = reference(full(ModelKey.LANGUAGE)).classify_batch(batch(waveform))

    (found,) = LanguageIdentifier(full(ModelKey.LANGUAGE), "cpu", options)([waveform])

    assert relative_difference(list(found.probabilities.values()), log_posteriors[0].exp()) < TOLERANCE
    assert label.endswith(found.name)


def test_the_accent_is_the_one_that_speechbrain_finds(full: Full, clip: Clip, options: EngineOptions) -> None:
    waveform = clip(48_000)
    cosines, _, _, (label,) = reference(full(ModelKey.ACCENT_ECAPA)).classify_batch(batch(waveform))
    expected = torch.softmax(MARGIN_LOSS_SCALE * cosines[0], dim=-1)

    (found,) = EcapaAccentClassifier(full(ModelKey.ACCENT_ECAPA), "cpu", options)([waveform])

    assert found.accent == label
    assert relative_difference(list(found.probabilities.values()), expected) < TOLERANCE
