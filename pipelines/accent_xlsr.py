"""Classify the accent of English with CommonAccent XLSR, without the Python file of its repository."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from config.settings import EngineOptions
from pipelines.checkpoints import LocatedCheckpoint, Unfilled, load_labels, load_state, load_tensors
from pipelines.engines.select import Network, choose
from pipelines.samples import Samples
from pipelines.vendored.process import full_float32
from pipelines.wav2vec2 import (
    MIN_SAMPLES,
    LastHiddenState,
    build_backbone,
    compile_network,
    from_transformers,
    normalize,
    run_by_length,
    wav2vec2_architecture,
)
from pipelines.windowing import MeanOfWindows
from voxgraph.results import AccentResult, Waveform

LAYER_NORM_EPSILON = 1e-5
"""Added to the variance, as in torch's layer_norm, with which SpeechBrain normalizes the waveform
(integrations/huggingface/wav2vec2.py)."""
MAX_INPUT_SAMPLES = 30 * 16_000
"""Longest input of a forward pass, in samples: the memory of attention grows with its square."""
BACKBONE_PREFIX = "model."
HEAD_PREFIX = "0.w."


class XlsrAccentClassifier(MeanOfWindows[AccentResult]):
    """Classify the accent of each clip of a batch, by the mean of the probabilities of its windows.

    Reimplements the repository's custom_interface.py, which is never executed: wav2vec 2.0, layer norm of its
    whole output, mean over time, a linear layer without bias, softmax. It leaves out the random noise that
    SpeechBrain's StatisticsPooling adds to the mean.

    Args:
        checkpoint: The located `ModelKey.ACCENT_XLSR`.
        device: ``cpu`` or ``cuda:0``.
        options: Engine and precision of the backbone; the head always runs with torch in float32.

    Raises:
        CheckpointError: The tensors or labels do not fit the architecture, or the engine is unavailable.
    """

    min_samples, longest = MIN_SAMPLES, MAX_INPUT_SAMPLES

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
        load_state(network, from_transformers(backbone), f"{name} wav2vec2.ckpt")
        head = {
            key.removeprefix(HEAD_PREFIX): tensor
            for key, tensor in load_tensors(checkpoint.file("model.ckpt")).items()
        }
        load_state(self._head, head, f"{name} model.ckpt")
        self._head.eval().requires_grad_(False).to(self._device)
        network.to(self._device)
        choice = choose(options, device, Network.WAV2VEC2, checkpoint.size)
        self._backbone = compile_network(LastHiddenState(network), choice, checkpoint.identity)
        self._labels = load_labels(checkpoint.file("label_encoder.txt"), architecture.n_labels)
        parameters = sum(tensor.numel() for part in (network, self._head) for tensor in part.parameters())
        self.info = checkpoint.info(device, parameters, self._labels, choice)

    @full_float32()
    @torch.inference_mode()
    def rows(self, clips: Sequence[Waveform]) -> Tensor:
        """Return the probabilities of clips, (clips, n_labels).

        Raises:
            AudioTooShort: A clip has fewer than `min_samples` samples.
        """
        normal = [normalize(clip, LAYER_NORM_EPSILON, self._device) for clip in clips]
        return torch.stack(run_by_length(self._probabilities, normal))

    def result(self, row: Tensor, samples: Samples) -> AccentResult:
        """Return the answer about a recording from its probabilities."""
        return AccentResult.from_probabilities(self._labels, row.tolist())

    def _probabilities(self, batch: Tensor) -> Tensor:
        """Map (batch, samples) to probabilities (batch, n_labels)."""
        frames = self._backbone(batch)  # (batch, frames, hidden)
        frames = functional.layer_norm(frames, frames.shape[1:])
        probabilities: Tensor = self._head(frames.mean(dim=1)).softmax(dim=-1)
        return probabilities
