"""Detect generated speech in chunks with a wav2vec 2.0 sequence classifier."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from config.checkpoint_types import Wav2Vec2Architecture
from config.settings import EngineOptions
from pipelines.checkpoints import LocatedCheckpoint, Unfilled, load_state, load_tensors
from pipelines.engines.select import Network, choose
from pipelines.vendored.process import full_float32
from pipelines.wav2vec2 import (
    MIN_SAMPLES,
    build_backbone,
    compile_network,
    from_transformers,
    normalize,
    run_by_length,
    wav2vec2_architecture,
)
from voxgraph.errors import CheckpointError
from voxgraph.results import SAMPLE_RATE_HZ, DeepfakeScore, Waveform

NORM_EPSILON = 1e-7
"""Added to the variance, as in transformers' Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm."""
PREPROCESSING = {"do_normalize": True, "feature_size": 1, "sampling_rate": SAMPLE_RATE_HZ}
"""Preprocessing of the input here, under transformers' field names; these values are also its defaults."""
CLASSES = {"fake", "real"}
BACKBONE_PREFIX = "wav2vec2."


class DeepfakeDetector:
    """Score the probability that each chunk of a batch is generated.

    The checkpoint's ``config.json`` says which output means fake.

    Args:
        checkpoint: The located `ModelKey.DEEPFAKE`.
        device: ``cpu`` or ``cuda:0``.
        options: Engine and precision of the network.

    Raises:
        CheckpointError: The tensors, labels or configuration do not fit the architecture, or the engine
            is unavailable.
    """

    min_samples = MIN_SAMPLES

    def __init__(
        self, checkpoint: LocatedCheckpoint, device: str, options: EngineOptions = EngineOptions()
    ) -> None:
        architecture = wav2vec2_architecture(checkpoint)
        check_preprocessor(read_config(checkpoint.file("preprocessor_config.json")))
        config = read_config(checkpoint.file("config.json"))
        check_architecture(config, architecture)
        labels = read_labels(config)
        self._fake, self._real = labels.index("fake"), labels.index("real")
        self._device = torch.device(device)
        with Unfilled():
            network = SequenceClassifier(architecture)
        tensors = load_tensors(checkpoint.file("model.safetensors"))
        load_state(network, rename_tensors(tensors), f"{checkpoint.row.hub_id} model.safetensors")
        network.eval().requires_grad_(False).to(self._device)
        choice = choose(options, device, Network.WAV2VEC2, checkpoint.size)
        self._run = compile_network(network, choice, checkpoint.identity)
        parameters = sum(tensor.numel() for tensor in network.parameters())
        self.info = checkpoint.info(device, parameters, labels, choice)

    @full_float32()
    @torch.inference_mode()
    def __call__(self, waveforms: Sequence[Waveform]) -> list[DeepfakeScore]:
        """Score each chunk; the result does not depend on the rest of the batch.

        Raises:
            AudioTooShort: A chunk has fewer than `min_samples` samples.
        """
        clips = [normalize(waveform, NORM_EPSILON, self._device) for waveform in waveforms]
        rows = [row.cpu().tolist() for row in run_by_length(self._probabilities, clips)]
        return [DeepfakeScore(ai_generated=row[self._fake], real=row[self._real]) for row in rows]

    def _probabilities(self, batch: Tensor) -> Tensor:
        """Map (batch, samples) to probabilities (batch, 2)."""
        return self._run(batch).softmax(dim=-1)


class SequenceClassifier(nn.Module):
    """Project, average over time, classify: transformers' Wav2Vec2ForSequenceClassification."""

    def __init__(self, architecture: Wav2Vec2Architecture) -> None:
        super().__init__()
        self.wav2vec2 = build_backbone(architecture)
        self.projector = nn.Linear(architecture.hidden_size, architecture.classifier_proj_size)
        self.classifier = nn.Linear(architecture.classifier_proj_size, architecture.n_labels)

    def forward(self, waveforms: Tensor) -> Tensor:
        """Map (batch, samples) to logits (batch, n_labels)."""
        frames, _ = self.wav2vec2(waveforms)  # (batch, frames, hidden)
        logits: Tensor = self.classifier(self.projector(frames).mean(dim=1))
        return logits


def rename_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a transformers checkpoint to those of `SequenceClassifier`."""
    inside = {key: tensor for key, tensor in tensors.items() if key.startswith(BACKBONE_PREFIX)}
    backbone = from_transformers({key.removeprefix(BACKBONE_PREFIX): inside[key] for key in inside})
    heads = {key: tensor for key, tensor in tensors.items() if key not in inside}
    return heads | {BACKBONE_PREFIX + key: tensor for key, tensor in backbone.items()}


def read_config(path: Path) -> dict[str, Any]:
    """Read ``config.json`` or ``preprocessor_config.json``.

    Raises:
        CheckpointError: The file is not a JSON object.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path.name} is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path.name} is not a JSON object.")
    return config


def check_preprocessor(config: dict[str, Any]) -> None:
    """Check that the network was trained with the preprocessing of this module.

    Raises:
        CheckpointError: A field of ``preprocessor_config.json`` differs from `PREPROCESSING`.
    """
    for name, ours in PREPROCESSING.items():
        if (theirs := config.get(name, ours)) != ours:
            raise CheckpointError(f"preprocessor_config.json: {name} is {theirs!r}; expected {ours!r}.")


def check_architecture(config: dict[str, Any], architecture: Wav2Vec2Architecture) -> None:
    """Check ``config.json`` against the typed architecture.

    Raises:
        CheckpointError: A field that both have differs.
    """
    for name, ours in asdict(architecture).items():
        theirs = config.get(name, ours)
        if (tuple(theirs) if isinstance(theirs, list) else theirs) != ours:
            raise CheckpointError(f"config.json: {name} is {theirs!r}; expected {ours!r}.")


def read_labels(config: dict[str, Any]) -> tuple[str, ...]:
    """Return the class names in lower case, by index.

    Raises:
        CheckpointError: The classes are not ``fake`` and ``real``.
    """
    names = config.get("id2label")
    try:
        by_index = {int(index): str(label).lower() for index, label in names.items()}  # type: ignore[union-attr]
    except (AttributeError, ValueError) as error:
        raise CheckpointError("config.json has no id2label with numbered classes.") from error
    if sorted(by_index) != [0, 1] or set(by_index.values()) != CLASSES:
        raise CheckpointError(f"config.json has classes {sorted(by_index.values())}; expected fake and real.")
    return by_index[0], by_index[1]
