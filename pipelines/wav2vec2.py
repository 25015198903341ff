"""wav2vec 2.0 from torchaudio, built from the typed architecture; XLSR accent and deepfake share it.

The checkpoints have the names of transformers. torchaudio's network is the same one, answers the same
numbers, and its import costs a replica a third of the time.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torchaudio.models import Wav2Vec2Model, wav2vec2_model

from config.checkpoints import Wav2Vec2Architecture
from pipelines.checkpoints import LocatedCheckpoint
from pipelines.engines.run import on_engine
from pipelines.engines.select import EngineChoice
from voxgraph.errors import AudioTooShort, CheckpointError
from voxgraph.results import Waveform

MIN_SAMPLES = 400
"""The receptive field of the convolutions."""
REDUCED_FROM_SAMPLES = 4_000
"""Shorter clips, under 0.25 s, are computed in float32 whatever the engine: a mean over a few frames evens
no rounding out (in bfloat16 probabilities move by 0.07 under 0.1 s, 0.02 under 0.15 s, 0.001 from there)."""

TRAINING_ONLY = "masked_spec_embed"
"""What masks spectrograms while training; no part of the network that answers."""

_PUBLISHED_TO_OURS = (
    ("encoder.", "encoder.transformer."),
    ("feature_projection.", "encoder.feature_projection."),
    ("feature_extractor.", "feature_extractor."),
)
"""Prefixes of transformers and of torchaudio."""

_OLD_WEIGHT_NORM = (
    ("conv.weight_g", "conv.parametrizations.weight.original0"),
    ("conv.weight_v", "conv.parametrizations.weight.original1"),
)
"""Names that torch gave the weight norm of the positional convolution before its parametrizations."""


def wav2vec2_architecture(checkpoint: LocatedCheckpoint) -> Wav2Vec2Architecture:
    """The architecture of a wav2vec 2.0 checkpoint.

    Raises:
        CheckpointError: Its row has one of another kind.
    """
    if not isinstance(checkpoint.architecture, Wav2Vec2Architecture):
        raise CheckpointError(f"{checkpoint.row.hub_id} is no wav2vec 2.0 checkpoint.")
    return checkpoint.architecture


def build_backbone(architecture: Wav2Vec2Architecture) -> Wav2Vec2Model:
    """The network up to its last hidden state, with random weights, for answering only."""
    convolutions = zip(architecture.conv_dim, architecture.conv_kernel, architecture.conv_stride, strict=True)
    backbone = wav2vec2_model(
        extractor_mode=f"{architecture.feat_extract_norm}_norm",
        extractor_conv_layer_config=list(convolutions),
        extractor_conv_bias=architecture.conv_bias,
        encoder_embed_dim=architecture.hidden_size,
        encoder_projection_dropout=0.0,
        encoder_pos_conv_kernel=architecture.num_conv_pos_embeddings,
        encoder_pos_conv_groups=architecture.num_conv_pos_embedding_groups,
        encoder_num_layers=architecture.num_hidden_layers,
        encoder_num_heads=architecture.num_attention_heads,
        encoder_attention_dropout=0.0,
        encoder_ff_interm_features=architecture.intermediate_size,
        encoder_ff_interm_dropout=0.0,
        encoder_dropout=0.0,
        encoder_layer_norm_first=architecture.do_stable_layer_norm,
        encoder_layer_drop=0.0,
        aux_num_out=None,
    )
    return backbone.eval().requires_grad_(False)


class FramesOnly(nn.Module):
    """A backbone that answers its last hidden state and nothing beside it."""

    def __init__(self, backbone: Wav2Vec2Model) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, waveforms: Tensor) -> Tensor:
        """From (batch, samples) to (batch, frames, hidden)."""
        frames: Tensor = self.backbone(waveforms)[0]
        return frames


def start(network: nn.Module, choice: EngineChoice, identity: str) -> Callable[[Tensor], Tensor]:
    """Put a network on its engine.

    Args:
        network: From (batch, samples) to a tensor, on its device.
        choice: From `pipelines.engines.select.choose`.
        identity: Of the checkpoint whose weights it has.

    Raises:
        CheckpointError: The engine cannot run it on this machine.
    """
    run = on_engine(network, choice, (torch.zeros(2, 8_000),), ((-1, -1),), identity)
    if choice.precision == "float32":
        return run
    return lambda batch: (network if batch.shape[1] < REDUCED_FROM_SAMPLES else run)(batch)


def from_published(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published backbone under the names of `build_backbone`; unknown names stay, to be refused."""
    kept = {key: tensor for key, tensor in tensors.items() if key != TRAINING_ONLY}
    return {_renamed(key, _PUBLISHED_TO_OURS, _OLD_WEIGHT_NORM): tensor for key, tensor in kept.items()}


def to_published(backbone: Wav2Vec2Model, hidden_size: int) -> dict[str, Tensor]:
    """A backbone's tensors under the names that published checkpoints have, the training-only one added."""
    prefixes = [(ours, published) for published, ours in _PUBLISHED_TO_OURS]
    inner = [(new, old) for old, new in _OLD_WEIGHT_NORM]
    named = {
        _renamed(key, prefixes, inner): tensor.contiguous() for key, tensor in backbone.state_dict().items()
    }
    return named | {TRAINING_ONLY: torch.rand(hidden_size)}


def _renamed(key: str, prefixes: Sequence[tuple[str, str]], inner: Sequence[tuple[str, str]]) -> str:
    """The key with the first prefix that it has replaced, and every inner name."""
    for old, new in prefixes:
        if key.startswith(old):
            key = new + key.removeprefix(old)
            break
    for old, new in inner:
        key = key.replace(old, new)
    return key


def normalised(waveform: Waveform, epsilon: float, device: torch.device) -> Tensor:
    """A clip at zero mean and unit variance, shape (samples,).

    Raises:
        AudioTooShort: It has fewer than `MIN_SAMPLES` samples.
    """
    if len(waveform) < MIN_SAMPLES:
        raise AudioTooShort(f"{len(waveform)} samples; wav2vec 2.0 needs {MIN_SAMPLES} (0.025 s).")
    samples = torch.tensor(waveform, device=device)
    return (samples - samples.mean()) / torch.sqrt(samples.var(correction=0) + epsilon)


def in_equal_lengths(run: Callable[[Tensor], Tensor], clips: Sequence[Tensor]) -> list[Tensor]:
    """Run clips in batches of one length each, so that no padding can change an answer.

    Padding reaches this network in its group norm, its attention and its pooling; clips of one length
    need none, and the chunks of a recording have one length.

    Args:
        run: From (batch, samples) to (batch, ...).
        clips: Each of shape (samples,).

    Returns:
        The answer of each clip, in the order they came.
    """
    positions: dict[int, list[int]] = defaultdict(list)
    for position, clip in enumerate(clips):
        positions[len(clip)].append(position)
    answers: dict[int, Tensor] = {}
    for group in positions.values():
        batch = run(torch.stack([clips[position] for position in group]))
        answers.update(zip(group, batch, strict=True))
    return [answers[position] for position in range(len(clips))]
