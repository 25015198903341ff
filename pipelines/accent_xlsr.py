"""Which accent of English is heard: CommonAccent XLSR, without the Python file of its repository."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from config.settings import EngineOptions
from pipelines.accent_result import accent_result
from pipelines.checkpoints import LocatedCheckpoint, Unfilled, load_labels, load_state, load_tensors
from pipelines.engines.select import Network, choose
from pipelines.vendored.process import full_float32
from pipelines.wav2vec2 import (
    MIN_SAMPLES,
    FramesOnly,
    build_backbone,
    from_published,
    in_equal_lengths,
    normalised,
    start,
    wav2vec2_architecture,
)
from pipelines.windowing import averaged
from voxgraph.results import AccentResult, Waveform

LAYER_NORM_EPSILON = 1e-5
"""SpeechBrain normalises the waveform with torch's layer_norm (integrations/huggingface/wav2vec2.py)."""
LONGEST_SAMPLES = 30 * 16_000
"""Attention takes memory by the square of the length."""
BACKBONE_PREFIX = "model."
HEAD_PREFIX = "0.w."


class XlsrAccentClassifier:
    """Answers clips with accents.

    Follows the repository's custom_interface.py as text: wav2vec 2.0, layer norm of its whole output,
    mean over time, a linear layer without bias, softmax; without the random noise that SpeechBrain's
    StatisticsPooling adds to the mean.

    Args:
        checkpoint: Of `ModelKey.ACCENT_XLSR`.
        device: ``cpu`` or ``cuda:0``.
        options: What the backbone runs on; the head stays with torch in float32.

    Raises:
        CheckpointError: The tensors or labels do not fit the architecture, or the engine cannot be had.
    """

    min_samples = MIN_SAMPLES

    def __init__(
        self, checkpoint: LocatedCheckpoint, device: str, options: EngineOptions = EngineOptions()
    ) -> None:
        architecture = wav2vec2_architecture(checkpoint)
        name = checkpoint.row.hub_id
        self._device = torch.device(device)
        with Unfilled():
            network = build_backbone(architecture)
            self._head = nn.Linear(architecture.hidden_size, architecture.n_labels, bias=False)
        tensors = load_tensors(checkpoint.file("wav2vec2.ckpt"))
        backbone = {key.removeprefix(BACKBONE_PREFIX): tensor for key, tensor in tensors.items()}
        load_state(network, from_published(backbone), f"{name} wav2vec2.ckpt")
        head = {
            key.removeprefix(HEAD_PREFIX): tensor
            for key, tensor in load_tensors(checkpoint.file("model.ckpt")).items()
        }
        load_state(self._head, head, f"{name} model.ckpt")
        self._head.eval().requires_grad_(False).to(self._device)
        network.to(self._device)
        choice = choose(options, device, Network.WAV2VEC2, checkpoint.size)
        self._backbone = start(FramesOnly(network), choice, checkpoint.identity)
        self._labels = load_labels(checkpoint.file("label_encoder.txt"), architecture.n_labels)
        parameters = sum(tensor.numel() for part in (network, self._head) for tensor in part.parameters())
        self.info = checkpoint.info(device, parameters, self._labels, choice)

    @full_float32()
    @torch.inference_mode()
    def __call__(self, waveforms: Sequence[Waveform]) -> list[AccentResult]:
        """Identify the accent of each clip, whatever the others are; over 30 s it is the mean of windows.

        Raises:
            AudioTooShort: A clip has fewer than `min_samples` samples.
        """
        rows = averaged(self._together, waveforms, LONGEST_SAMPLES)
        return [accent_result(self._labels, row) for row in rows.cpu().tolist()]

    def _together(self, waveforms: Sequence[Waveform]) -> Tensor:
        """From clips to probabilities, (batch, n_labels)."""
        clips = [normalised(waveform, LAYER_NORM_EPSILON, self._device) for waveform in waveforms]
        return torch.stack(in_equal_lengths(self._probabilities, clips))

    def _probabilities(self, batch: Tensor) -> Tensor:
        """From (batch, samples) to (batch, n_labels)."""
        frames = self._backbone(batch)  # (batch, frames, hidden)
        frames = functional.layer_norm(frames, frames.shape[1:])
        probabilities: Tensor = self._head(frames.mean(dim=1)).softmax(dim=-1)
        return probabilities
