"""Whether a chunk of speech is generated: a wav2vec 2.0 sequence classifier."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from config.checkpoints import Wav2Vec2Architecture
from config.settings import EngineOptions
from pipelines.checkpoints import LocatedCheckpoint, Unfilled, load_state, load_tensors
from pipelines.engines.select import Network, choose
from pipelines.vendored.process import full_float32
from pipelines.wav2vec2 import (
    MIN_SAMPLES,
    build_backbone,
    from_published,
    in_equal_lengths,
    normalised,
    start,
    wav2vec2_architecture,
)
from voxgraph.errors import CheckpointError
from voxgraph.results import SAMPLE_RATE_HZ, DeepfakeScore, Waveform

NORM_EPSILON = 1e-7
"""As transformers' Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm."""
PREPROCESSED = {"do_normalize": True, "feature_size": 1, "sampling_rate": SAMPLE_RATE_HZ}
"""What was done to the waveforms that the network gets, in the words and by the defaults of transformers."""
CLASSES = {"fake", "real"}
BACKBONE_PREFIX = "wav2vec2."


class DeepfakeDetector:
    """Answers chunks with the probability that they are generated.

    Which output means fake is read from the checkpoint's ``config.json``.

    Args:
        checkpoint: Of `ModelKey.DEEPFAKE`.
        device: ``cpu`` or ``cuda:0``.
        options: What the network runs on.

    Raises:
        CheckpointError: The tensors, labels or configuration do not fit the architecture, or the engine
            cannot be had.
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
        load_state(network, named_as_ours(tensors), f"{checkpoint.row.hub_id} model.safetensors")
        network.eval().requires_grad_(False).to(self._device)
        choice = choose(options, device, Network.WAV2VEC2, checkpoint.size)
        self._run = start(network, choice, checkpoint.identity)
        parameters = sum(tensor.numel() for tensor in network.parameters())
        self.info = checkpoint.info(device, parameters, labels, choice)

    @full_float32()
    @torch.inference_mode()
    def __call__(self, waveforms: Sequence[Waveform]) -> list[DeepfakeScore]:
        """Score each chunk, whatever the others are.

        Raises:
            AudioTooShort: A chunk has fewer than `min_samples` samples.
        """
        clips = [normalised(waveform, NORM_EPSILON, self._device) for waveform in waveforms]
        rows = [row.cpu().tolist() for row in in_equal_lengths(self._probabilities, clips)]
        return [DeepfakeScore(ai_generated=row[self._fake], real=row[self._real]) for row in rows]

    def _probabilities(self, batch: Tensor) -> Tensor:
        """From (batch, samples) to (batch, 2)."""
        return self._run(batch).softmax(dim=-1)


class SequenceClassifier(nn.Module):
    """transformers' Wav2Vec2ForSequenceClassification: project, mean over time, classify."""

    def __init__(self, architecture: Wav2Vec2Architecture) -> None:
        super().__init__()
        self.wav2vec2 = build_backbone(architecture)
        self.projector = nn.Linear(architecture.hidden_size, architecture.classifier_proj_size)
        self.classifier = nn.Linear(architecture.classifier_proj_size, architecture.n_labels)

    def forward(self, waveforms: Tensor) -> Tensor:
        """From (batch, samples) to logits (batch, n_labels)."""
        frames, _ = self.wav2vec2(waveforms)  # (batch, frames, hidden)
        logits: Tensor = self.classifier(self.projector(frames).mean(dim=1))
        return logits


def named_as_ours(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published classifier under the names of `SequenceClassifier`."""
    inside = {key: tensor for key, tensor in tensors.items() if key.startswith(BACKBONE_PREFIX)}
    backbone = from_published({key.removeprefix(BACKBONE_PREFIX): inside[key] for key in inside})
    heads = {key: tensor for key, tensor in tensors.items() if key not in inside}
    return heads | {BACKBONE_PREFIX + key: tensor for key, tensor in backbone.items()}


def read_config(path: Path) -> dict[str, Any]:
    """Read ``config.json`` or ``preprocessor_config.json``.

    Raises:
        CheckpointError: It is no JSON object.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path.name} is no JSON: {error}") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path.name} is no JSON object.")
    return config


def check_preprocessor(config: dict[str, Any]) -> None:
    """See that the network was trained on what it gets here.

    Raises:
        CheckpointError: ``preprocessor_config.json`` says otherwise.
    """
    for name, ours in PREPROCESSED.items():
        if (theirs := config.get(name, ours)) != ours:
            raise CheckpointError(f"preprocessor_config.json says {name} is {theirs!r}; here it is {ours!r}.")


def check_architecture(config: dict[str, Any], architecture: Wav2Vec2Architecture) -> None:
    """Compare what ``config.json`` says with the typed architecture.

    Raises:
        CheckpointError: A field that both have differs.
    """
    for name, ours in asdict(architecture).items():
        theirs = config.get(name, ours)
        if (tuple(theirs) if isinstance(theirs, list) else theirs) != ours:
            raise CheckpointError(f"config.json says {name} is {theirs!r}; this build has {ours!r}.")


def read_labels(config: dict[str, Any]) -> tuple[str, ...]:
    """The classes by index, in lower case.

    Raises:
        CheckpointError: They are not ``fake`` and ``real``.
    """
    names = config.get("id2label")
    try:
        by_index = {int(index): str(label).lower() for index, label in names.items()}  # type: ignore[union-attr]
    except (AttributeError, ValueError) as error:
        raise CheckpointError("config.json has no id2label with numbered classes.") from error
    if sorted(by_index) != [0, 1] or set(by_index.values()) != CLASSES:
        raise CheckpointError(f"the classes are {sorted(by_index.values())}; expected fake and real.")
    return by_index[0], by_index[1]
