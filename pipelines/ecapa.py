"""ECAPA-TDNN with its front end, batched without changing an answer; language, speaker and accent share it.

SpeechBrain's modules give the network. Two things make a padded batch equal to each clip alone:
every clip's features are computed by themselves, and the convolutions reflect at each clip's own end,
where SpeechBrain reflects at the end of the longest clip's padding
(https://github.com/speechbrain/speechbrain/issues/1374).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from speechbrain.lobes.features import Fbank
from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN
from speechbrain.lobes.models.ECAPA_TDNN import Classifier as CosineClassifier
from speechbrain.lobes.models.Xvector import Classifier as XvectorClassifier
from speechbrain.nnet.CNN import Conv1d
from torch import Tensor, nn
from torch.nn import functional

from config.checkpoints import EcapaArchitecture
from pipelines.checkpoints import LocatedCheckpoint, load_state, load_tensors
from pipelines.errors import AudioTooShort, CheckpointError
from pipelines.results import Waveform

HOP_SAMPLES = 160
MIN_SAMPLES = 640
"""Reflection by 4 frames needs 5 of them: 4 hops of 10 ms."""


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
        head = CosineClassifier(architecture.embedding_dim, out_neurons=architecture.n_labels)
    elif architecture.head == "xvector":
        head = XvectorClassifier(
            input_shape=[None, None, architecture.embedding_dim],
            activation=nn.LeakyReLU,
            lin_blocks=1,
            lin_neurons=architecture.head_hidden,
            out_neurons=architecture.n_labels,
        )
    return head


@contextmanager
def full_float32() -> Iterator[None]:
    """Compute float32 as float32 on CUDA, whatever the process has set.

    cuDNN rounds to TF32 (10 bits of mantissa) by default, and importing SpeechBrain sets it for products
    too (speechbrain/utils/quirks.py): a clip would then answer differently in different batches.
    """
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    products.allow_tf32 = convolutions.allow_tf32 = False
    try:
        yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before


class EndReflection:
    """Reflection padding at each clip's own end, in place of that of SpeechBrain's convolutions."""

    def __init__(self) -> None:
        self._frames: Tensor | None = None

    def set_frames(self, frames: Tensor) -> None:
        """Take the number of frames of each clip, shape (batch,), for the next forward pass."""
        self._frames = None if bool((frames == frames[0]).all()) else frames

    def pad(self, x: Tensor, kernel_size: int, dilation: int, stride: int) -> Tensor:
        """Pad (batch, channels, time) by half a kernel on both sides, so that the length is kept.

        Frames past a clip's end hold whatever they hold: the pooling of the network masks them.
        """
        width = dilation * (kernel_size - 1) // 2
        if width == 0:
            return x
        if self._frames is None:
            return functional.pad(x, (width, width), mode="reflect")
        last = self._frames[:, None] - 1
        index = torch.arange(-width, x.shape[-1] + width, device=x.device).abs()[None, :]
        index = torch.where(index > last, 2 * last - index, index).clamp_(min=0)
        return x.gather(2, index[:, None, :].expand(-1, x.shape[1], -1))


class Ecapa(nn.Module):
    """Front end, encoder and head of one checkpoint.

    Args:
        checkpoint: Located; its row's architecture is an `EcapaArchitecture`.
        device: ``cpu`` or ``cuda:0``.

    Raises:
        CheckpointError: The tensors are of another architecture.
    """

    def __init__(self, checkpoint: LocatedCheckpoint, device: str) -> None:
        super().__init__()
        architecture = checkpoint.architecture
        if not isinstance(architecture, EcapaArchitecture):
            raise CheckpointError(f"{checkpoint.row.hub_id} is no ECAPA checkpoint.")
        self.fbank = Fbank(n_mels=architecture.n_mels)
        self.encoder = build_encoder(architecture)
        self.head = build_head(architecture)
        name = checkpoint.row.hub_id
        load_state(self.encoder, load_tensors(checkpoint.file("embedding_model.ckpt")), f"{name} encoder")
        if self.head is not None:
            load_state(self.head, load_tensors(checkpoint.file("classifier.ckpt")), f"{name} classifier")
        self.n_labels = architecture.n_labels
        self._reflection = EndReflection()
        for module in self.encoder.modules():
            if isinstance(module, Conv1d):
                module._manage_padding = self._reflection.pad
        self.device = torch.device(device)
        self.eval().requires_grad_(False).to(self.device)

    @property
    def parameter_count(self) -> int:
        """Number of weights of encoder and head."""
        return sum(parameter.numel() for parameter in self.parameters())

    @full_float32()
    @torch.inference_mode()
    def embed(self, waveforms: Sequence[Waveform]) -> Tensor:
        """Embed clips of any lengths.

        Args:
            waveforms: Each float32, shape (samples,), 16 kHz mono, at least `MIN_SAMPLES` long.

        Returns:
            Shape (batch, embedding_dim), float32, not normalised.

        Raises:
            AudioTooShort: A clip has fewer samples.
        """
        features = [self._features(waveform) for waveform in waveforms]
        frames = torch.tensor([len(feature) for feature in features], device=self.device)
        batch = nn.utils.rnn.pad_sequence(features, batch_first=True)  # (batch, frames, n_mels)
        self._reflection.set_frames(frames)
        # SpeechBrain masks ceil(length * frames) frames: half a frame less is exact after rounding.
        lengths = (frames - 0.5) / batch.shape[1]
        embeddings: Tensor = self.encoder(batch, lengths)  # (batch, 1, embedding_dim)
        return embeddings[:, 0]

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
