"""Accent classification with the XLSR network of transformers and the pooling of SpeechBrain."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from speechbrain.dataio.dataio import read_audio
from speechbrain.nnet.pooling import StatisticsPooling
from torch import nn
from torch.nn import functional
from transformers import Wav2Vec2Config, Wav2Vec2Model

from config.checkpoint_types import Wav2Vec2Architecture
from config.checkpoints import CHECKPOINTS
from config.settings import Size
from voxgraph.options import ModelKey


class Accent:
    """Compute what the published repository's interface computes, step by step.

    The interface itself names a class that SpeechBrain has removed, and its wrapper downloads the backbone a
    second time, so this class combines the library's modules and loads the same weights.
    """

    def __init__(self, folder: Path, size: Size) -> None:
        architecture = CHECKPOINTS[ModelKey.ACCENT_XLSR].architectures[size]
        assert isinstance(architecture, Wav2Vec2Architecture)
        fields = asdict(architecture)
        labels = fields.pop("n_labels")
        self._backbone = Wav2Vec2Model(Wav2Vec2Config(**fields))
        weights = torch.load(folder / ModelKey.ACCENT_XLSR / "wav2vec2.ckpt", weights_only=True)
        self._backbone.load_state_dict({key.removeprefix("model."): weights[key] for key in weights})
        self._backbone.eval()
        self._pooling = StatisticsPooling(return_std=False)
        self._head = nn.Linear(architecture.hidden_size, labels, bias=False)
        head = torch.load(folder / ModelKey.ACCENT_XLSR / "model.ckpt", weights_only=True)
        self._head.load_state_dict({"weight": head["0.w.weight"]})

    def identify(self, path: str) -> dict[str, Any]:
        """Return the most probable accent of a file and its probability."""
        signal = read_audio(path)[None]
        with torch.no_grad():
            frames = self._backbone(functional.layer_norm(signal, signal.shape[1:])).last_hidden_state
            frames = functional.layer_norm(frames, frames.shape[1:])
            scores = self._head(self._pooling(frames).squeeze(1)).softmax(-1)[0]
        return {"label": int(scores.argmax()), "confidence": float(scores.max())}
