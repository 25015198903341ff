"""Test that the wav2vec 2.0 pipelines equal SpeechBrain and transformers on full-size random checkpoints."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from closeness import relative_difference

from config.settings import EngineOptions
from pipelines.accent_xlsr import XlsrAccentClassifier
from pipelines.checkpoints import LocatedCheckpoint, load_tensors
from pipelines.deepfake import DeepfakeDetector
from voxgraph.options import ModelKey
from voxgraph.results import Waveform

TOLERANCE = 1e-4
FLOAT32 = EngineOptions(precision="float32")
Full = Callable[[ModelKey], LocatedCheckpoint]
Clip = Callable[..., Waveform]


def speechbrain_xlsr(checkpoint: LocatedCheckpoint, folder: Path) -> Any:
    """Build SpeechBrain's own backbone and load it as its Pretrainer does."""
    from dataclasses import asdict

    from speechbrain.integrations.huggingface.wav2vec2 import Wav2Vec2
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    fields = asdict(checkpoint.architecture)
    del fields["n_labels"]
    Wav2Vec2Model(Wav2Vec2Config(**fields)).save_pretrained(folder)
    preprocessor = {"do_normalize": True, "feature_extractor_type": "Wav2Vec2FeatureExtractor",
                    "feature_size": 1, "padding_value": 0.0, "return_attention_mask": True,
                    "sampling_rate": 16_000}  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    backbone = Wav2Vec2(source=str(folder), save_path=str(folder), output_norm=True, freeze=True)
    # SpeechBrain's Pretrainer also loads with strict=False; here no tensor may be missing.
    result = backbone.load_state_dict(load_tensors(checkpoint.file("wav2vec2.ckpt")), strict=False)
    assert not result.missing_keys
    assert not result.unexpected_keys
    return backbone.eval()


def test_the_accent_is_the_one_of_speechbrains_wav2vec2_path(
    full: Full, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from speechbrain.nnet.pooling import StatisticsPooling

    # The pooling adds random noise to the mean, which differs between runs.
    monkeypatch.setattr(
        StatisticsPooling, "_get_gauss_noise", lambda self, shape, device="cpu": torch.zeros(shape)
    )
    checkpoint, waveform = full(ModelKey.ACCENT_XLSR), clip(40_000)
    with torch.inference_mode():
        frames = speechbrain_xlsr(checkpoint, tmp_path)(torch.tensor(waveform)[None])
        pooled = StatisticsPooling(return_std=False)(frames, torch.ones(1)).view(1, -1)
        head = load_tensors(checkpoint.file("model.ckpt"))["0.w.weight"]
        expected = torch.softmax(pooled @ head.T, dim=-1)[0]

    (found,) = XlsrAccentClassifier(checkpoint, "cpu", FLOAT32)([waveform])

    assert relative_difference(list(found.probabilities.values()), expected) < TOLERANCE


def test_a_chunk_scores_as_it_does_in_transformers(full: Full, clip: Clip) -> None:
    from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

    checkpoint, waveform = full(ModelKey.DEEPFAKE), clip(80_000)
    extractor = AutoFeatureExtractor.from_pretrained(checkpoint.folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, info = AutoModelForAudioClassification.from_pretrained(
            checkpoint.folder, output_loading_info=True
        )
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    inputs = extractor(waveform, sampling_rate=16_000, return_tensors="pt")
    with torch.inference_mode():
        expected = model.eval()(**inputs).logits.softmax(dim=-1)[0]

    (found,) = DeepfakeDetector(checkpoint, "cpu", FLOAT32)([waveform])

    assert model.config.id2label[0] == "fake"
    assert relative_difference([found.ai_generated, found.real], expected) < TOLERANCE
