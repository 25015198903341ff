"""Run ECAPA-TDNN and its front end on batches, for language, speaker and accent.

A clip gives the same output in a padded batch as alone: its features are computed separately, and the network
uses the length of each clip (`pipelines.ecapa_network`).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from config.checkpoint_types import EcapaArchitecture
from config.settings import EngineOptions
from pipelines.checkpoints import LocatedCheckpoint, Unfilled, load_state, load_tensors
from pipelines.ecapa_network import MIN_FRAMES, EcapaNetwork
from pipelines.engines.run import on_engine
from pipelines.engines.select import Network, choose
from pipelines.vendored.process import full_float32
from pipelines.vendored.speechbrain import ECAPA_TDNN, Classifier, Fbank, XvectorClassifier
from voxgraph.errors import AudioTooShort, CheckpointError
from voxgraph.results import Waveform

HOP_SAMPLES = 160
MIN_SAMPLES = (MIN_FRAMES - 1) * HOP_SAMPLES
MAX_INPUT_SAMPLES = 60 * 16_000
"""Longest input of a forward pass, in samples: four of them take the full-size network half a gigabyte."""
MIN_REDUCED_FRAMES = 11
"""Shortest clip (0.1 s) that runs in the precision of the engine; shorter ones run in float32: the standard
deviations pooled over 5 frames are too small for bfloat16 (cosine to float32 0.87)."""


def build_encoder(architecture: EcapaArchitecture) -> ECAPA_TDNN:
    """Build the embedding network of a checkpoint, with random weights."""
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
    """Build the classifier of a checkpoint, with random weights; None if it has none."""
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
        checkpoint: A located checkpoint with an `EcapaArchitecture`.
        device: ``cpu`` or ``cuda:0``.
        options: Engine and precision of the encoder. The front end and the head, 1 % of the work, always run
            with torch in float32.

    Raises:
        CheckpointError: The tensors do not fit the architecture, or the engine is unavailable.
    """

    def __init__(
        self, checkpoint: LocatedCheckpoint, device: str, options: EngineOptions = EngineOptions()
    ) -> None:
        super().__init__()
        architecture = checkpoint.architecture
        if not isinstance(architecture, EcapaArchitecture):
            raise CheckpointError(f"{checkpoint.row.hub_id} is not an ECAPA checkpoint.")
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
        if self.head is not None:
            # It reads one vector of a recording, whose windows may come from several batches.
            self.head.to("cpu")
        self.choice = choose(options, device, Network.ECAPA, checkpoint.size)
        self._exact = EcapaNetwork(self.encoder)
        example = torch.zeros(2, 50, architecture.n_mels), torch.tensor([50, 40])
        shapes = (-1, -1, architecture.n_mels), (-1,)
        self._run = on_engine(self._exact, self.choice, example, shapes, checkpoint.identity)

    @property
    def parameter_count(self) -> int:
        """Number of weights in the encoder and the head."""
        return sum(parameter.numel() for parameter in self.parameters())

    @full_float32()
    @torch.inference_mode()
    def embed(self, waveforms: Sequence[Waveform]) -> Tensor:
        """Embed clips in one batch, those under `MIN_REDUCED_FRAMES` in float32.

        Args:
            waveforms: Each float32, shape (samples,), 16 kHz mono, at least `MIN_SAMPLES` long. What is
                longer than `MAX_INPUT_SAMPLES` is cut before.

        Returns:
            Shape (batch, embedding_dim), float32, not normalized.

        Raises:
            AudioTooShort: A clip has fewer than `MIN_SAMPLES` samples.
        """
        features = [self._features(waveform) for waveform in waveforms]
        short = [
            position
            for position, clip in enumerate(features)
            if len(clip) < MIN_REDUCED_FRAMES and self.choice.precision != "float32"
        ]
        long = [position for position in range(len(features)) if position not in short]
        rows: dict[int, Tensor] = {}
        for run, positions in ((self._run, long), (self._exact, short)):
            if positions:
                rows.update(zip(positions, self._encode(run, [features[p] for p in positions]), strict=True))
        return torch.stack([rows[position] for position in range(len(features))])

    def _encode(self, run: Callable[..., Tensor], features: Sequence[Tensor]) -> Tensor:
        """Map features, each (frames, n_mels), to embeddings (batch, embedding_dim)."""
        frames = torch.tensor([len(clip) for clip in features], device=self.device)
        return run(nn.utils.rnn.pad_sequence(list(features), batch_first=True), frames)

    @torch.inference_mode()
    def classify(self, embedding: Tensor) -> Tensor:
        """Return cosines or log-posteriors of an embedding on the CPU, depending on the head: (n_labels,)."""
        if self.head is None:
            raise CheckpointError("The checkpoint has no classifier.")
        scores: Tensor = self.head(embedding[None, None])
        return scores[0, 0]

    def _features(self, waveform: Waveform) -> Tensor:
        """Compute log-mel energies minus their mean over the clip, shape (frames, n_mels)."""
        if len(waveform) < MIN_SAMPLES:
            raise AudioTooShort(f"{len(waveform)} samples; ECAPA needs {MIN_SAMPLES} (0.04 s).")
        samples = torch.tensor(waveform, device=self.device)
        features: Tensor = self.fbank(samples[None])[0]
        return features - features.mean(dim=0)
