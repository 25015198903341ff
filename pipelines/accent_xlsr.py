"""Which accent of English is heard: CommonAccent XLSR, without the Python file of its repository."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Wav2Vec2Model

from pipelines.accent_result import accent_result
from pipelines.checkpoints import LocatedCheckpoint, load_labels, load_state, load_tensors
from pipelines.results import AccentResult, Waveform
from pipelines.wav2vec2 import (
    MIN_SAMPLES,
    in_equal_lengths,
    modern_names,
    normalised,
    to_config,
    wav2vec2_architecture,
)

LAYER_NORM_EPSILON = 1e-5
"""SpeechBrain normalises the waveform with torch's layer_norm (integrations/huggingface/wav2vec2.py)."""
BACKBONE_PREFIX = "model."
HEAD_KEY = "0.w.weight"


class XlsrAccentClassifier:
    """Answers clips with accents.

    Follows the repository's custom_interface.py as text: wav2vec 2.0, layer norm of its whole output,
    mean over time, a linear layer without bias, softmax; without the random noise that SpeechBrain's
    StatisticsPooling adds to the mean.

    Args:
        checkpoint: Of `ModelKey.ACCENT_XLSR`.
        device: ``cpu`` or ``cuda:0``.

    Raises:
        CheckpointError: The tensors or labels do not fit the architecture.
    """

    min_samples = MIN_SAMPLES

    def __init__(self, checkpoint: LocatedCheckpoint, device: str) -> None:
        architecture = wav2vec2_architecture(checkpoint)
        name = checkpoint.row.hub_id
        self._device = torch.device(device)
        self._backbone = Wav2Vec2Model(to_config(architecture))
        tensors = load_tensors(checkpoint.file("wav2vec2.ckpt"))
        backbone = {key.removeprefix(BACKBONE_PREFIX): tensor for key, tensor in tensors.items()}
        load_state(self._backbone, modern_names(backbone), f"{name} wav2vec2.ckpt")
        head = nn.ModuleDict(
            {
                "0": nn.ModuleDict(
                    {"w": nn.Linear(architecture.hidden_size, architecture.n_labels, bias=False)}
                )
            }
        )
        load_state(head, load_tensors(checkpoint.file("model.ckpt")), f"{name} model.ckpt")
        self._head = head.get_parameter(HEAD_KEY).detach().to(self._device)
        self._backbone.eval().requires_grad_(False).to(self._device)
        self._labels = load_labels(checkpoint.file("label_encoder.txt"), architecture.n_labels)
        parameters = sum(tensor.numel() for tensor in self._backbone.parameters()) + self._head.numel()
        self.info = checkpoint.info(device, parameters, self._labels)

    @torch.inference_mode()
    def __call__(self, waveforms: Sequence[Waveform]) -> list[AccentResult]:
        """Identify the accent of each clip, whatever the others are.

        Raises:
            AudioTooShort: A clip has fewer than `min_samples` samples.
        """
        clips = [normalised(waveform, LAYER_NORM_EPSILON, self._device) for waveform in waveforms]
        rows = in_equal_lengths(self._probabilities, clips)
        return [accent_result(self._labels, row.cpu().tolist()) for row in rows]

    def _probabilities(self, batch: Tensor) -> Tensor:
        """From (batch, samples) to (batch, n_labels)."""
        frames = self._backbone(batch).last_hidden_state  # (batch, frames, hidden)
        frames = functional.layer_norm(frames, frames.shape[1:])
        return functional.linear(frames.mean(dim=1), self._head).softmax(dim=-1)
