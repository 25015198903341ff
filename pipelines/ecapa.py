"""ECAPA-TDNN with its front end, batched without changing an answer; language, speaker and accent share it.

Two things make a padded batch equal to each clip alone: every clip's features are computed by themselves,
and the network knows where each clip ends (`pipelines.ecapa_network`).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from config.checkpoints import EcapaArchitecture
from config.settings import EngineOptions
from pipelines.checkpoints import LocatedCheckpoint, Unfilled, load_state, load_tensors
from pipelines.ecapa_network import MIN_FRAMES, EcapaNetwork
from pipelines.engines.run import on_engine
from pipelines.engines.select import Network, choose
from pipelines.vendored.process import full_float32
from pipelines.vendored.speechbrain import ECAPA_TDNN, Classifier, Fbank, XvectorClassifier
from pipelines.windowing import averaged
from voxgraph.errors import AudioTooShort, CheckpointError
from voxgraph.results import Waveform

HOP_SAMPLES = 160
MIN_SAMPLES = (MIN_FRAMES - 1) * HOP_SAMPLES
LONGEST_SAMPLES = 60 * 16_000
"""What the full-size network computes with half a gigabyte for four of them."""
REDUCED_FROM_FRAMES = 11
"""Shorter clips, under 0.1 s, are computed in float32 whatever the engine: over 5 frames the deviations that
are pooled are so small that bfloat16 loses them (cosine to float32 0.87)."""


def build_encoder(architecture: EcapaArchitecture) -> ECAPA_TDNN:
    """The embedding network of a checkpoint, with random weights."""
    return ECAPA_TDNN(
        input_size=architecture.n_mels,
        channels=list(architecture.channels),
        kernel_sizes=list(architecture.kernel_sizes),
        dilations=list(architecture.dilations),
        attention_channels=architecture.attention_channels,
        res2net_scale=architecture.res2net_scale,
        se_channels=architecture.se_channels,
        lin_neurons=architecture.embedding_dim,
        activation=nn.LeakyReLU if architecture.leaky_relu else nn.ReLU,
    )


def build_head(architecture: EcapaArchitecture) -> nn.Module | None:
    """The classifier of a checkpoint, with random weights; None where it has none."""
    head: nn.Module | None = None
    if architecture.head == "cosine":
        head = Classifier(architecture.embedding_dim, out_neurons=architecture.n_labels)
    elif architecture.head == "xvector":
        head = XvectorClassifier(
            input_shape=[None, None, architecture.embedding_dim],
            activation=nn.LeakyReLU,
            lin_blocks=1,
            lin_neurons=architecture.head_hidden,
            out_neurons=architecture.n_labels,
        )
    return head


class Ecapa(nn.Module):
    """Front end, encoder and head of one checkpoint.

    Args:
        checkpoint: Located; its row's architecture is an `EcapaArchitecture`.
        device: ``cpu`` or ``cuda:0``.
        options: What the encoder runs on. The front end and the head, one part in a hundred of the work,
            stay with torch in float32.

    Raises:
        CheckpointError: The tensors are of another architecture, or the engine cannot be had.
    """

    def __init__(
        self, checkpoint: LocatedCheckpoint, device: str, options: EngineOptions = EngineOptions()
    ) -> None:
        super().__init__()
        architecture = checkpoint.architecture
        if not isinstance(architecture, EcapaArchitecture):
            raise CheckpointError(f"{checkpoint.row.hub_id} is no ECAPA checkpoint.")
        self.fbank = Fbank(n_mels=architecture.n_mels)
        with Unfilled():
            self.encoder = build_encoder(architecture)
            self.head = build_head(architecture)
        name = checkpoint.row.hub_id
        load_state(self.encoder, load_tensors(checkpoint.file("embedding_model.ckpt")), f"{name} encoder")
        if self.head is not None:
            load_state(self.head, load_tensors(checkpoint.file("classifier.ckpt")), f"{name} classifier")
        self.n_labels = architecture.n_labels
        self.device = torch.device(device)
        self.eval().requires_grad_(False).to(self.device)
        self.choice = choose(options, device, Network.ECAPA, checkpoint.size)
        self._exact = EcapaNetwork(self.encoder)
        example = torch.zeros(2, 50, architecture.n_mels), torch.tensor([50, 40])
        shapes = (-1, -1, architecture.n_mels), (-1,)
        self._run = on_engine(self._exact, self.choice, example, shapes, checkpoint.identity)

    @property
    def parameter_count(self) -> int:
        """Number of weights of encoder and head."""
        return sum(parameter.numel() for parameter in self.parameters())

    @full_float32()
    @torch.inference_mode()
    def embed(self, waveforms: Sequence[Waveform]) -> Tensor:
        """Embed clips of any lengths.

        Args:
            waveforms: Each float32, shape (samples,), 16 kHz mono, at least `MIN_SAMPLES` long; one over
                `LONGEST_SAMPLES` is embedded as the mean of its windows.

        Returns:
            Shape (batch, embedding_dim), float32, not normalised.

        Raises:
            AudioTooShort: A clip has fewer samples.
        """
        return averaged(self._together, waveforms, LONGEST_SAMPLES)

    def _together(self, waveforms: Sequence[Waveform]) -> Tensor:
        """Embed clips in one batch, the very short ones in float32."""
        features = [self._features(waveform) for waveform in waveforms]
        short = [
            position
            for position, clip in enumerate(features)
            if len(clip) < REDUCED_FROM_FRAMES and self.choice.precision != "float32"
        ]
        long = [position for position in range(len(features)) if position not in short]
        rows: dict[int, Tensor] = {}
        for run, positions in ((self._run, long), (self._exact, short)):
            if positions:
                rows.update(zip(positions, self._encode(run, [features[p] for p in positions]), strict=True))
        return torch.stack([rows[position] for position in range(len(features))])

    def _encode(self, run: Callable[..., Tensor], features: Sequence[Tensor]) -> Tensor:
        """From clips of (frames, n_mels) to (batch, embedding_dim)."""
        frames = torch.tensor([len(clip) for clip in features], device=self.device)
        return run(nn.utils.rnn.pad_sequence(list(features), batch_first=True), frames)

    @full_float32()
    @torch.inference_mode()
    def classify(self, waveforms: Sequence[Waveform]) -> Tensor:
        """Scores of the head, shape (batch, n_labels): cosines or log-posteriors by its kind."""
        if self.head is None:
            raise CheckpointError("this checkpoint has no classifier")
        scores: Tensor = self.head(self.embed(waveforms)[:, None, :])
        return scores[:, 0]

    def _features(self, waveform: Waveform) -> Tensor:
        """Log-mel energies less their mean over the clip, shape (frames, n_mels)."""
        if len(waveform) < MIN_SAMPLES:
            raise AudioTooShort(f"{len(waveform)} samples; ECAPA needs {MIN_SAMPLES} (0.04 s).")
        samples = torch.tensor(waveform, device=self.device)
        features: Tensor = self.fbank(samples[None])[0]
        return features - features.mean(dim=0)
