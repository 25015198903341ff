"""Deepfake detection with transformers and librosa, one chunk at a time."""

from pathlib import Path
from typing import Any

import librosa
import torch
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

from voxgraph.options import ModelKey

SAMPLE_RATE_HZ = 16_000
CHUNK_S = 5.0
OVERLAP = 0.5


class Deepfake:
    """A feature extractor and a classifier."""

    def __init__(self, folder: Path) -> None:
        source = str(folder / ModelKey.DEEPFAKE)
        self._extractor = AutoFeatureExtractor.from_pretrained(source)
        self._model = AutoModelForAudioClassification.from_pretrained(source)
        self._model.eval()

    def analyze(self, path: str) -> dict[str, Any]:
        """Score the overlapping chunks of a file."""
        audio, _ = librosa.load(path, sr=SAMPLE_RATE_HZ)
        length = int(CHUNK_S * SAMPLE_RATE_HZ)
        hop = int(length * (1 - OVERLAP))
        chunks = []
        for start in range(0, max(1, len(audio) - length + 1), hop):
            inputs = self._extractor(
                audio[start : start + length], sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt"
            )
            with torch.no_grad():
                scores = self._model(**inputs).logits.softmax(-1)[0]
            chunks.append({"start_time": start / SAMPLE_RATE_HZ, "fake": float(scores[0])})
        fake = sum(chunk["fake"] > 0.5 for chunk in chunks)
        return {"is_deepfake": fake > len(chunks) / 2, "chunks": chunks}
