"""Build wav2vec 2.0 with torchaudio from the typed architecture, for XLSR accent and deepfake.

The checkpoints use the tensor names of transformers. torchaudio's network computes the same numbers and
imports in a third of the time.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torchaudio.models import Wav2Vec2Model, wav2vec2_model

from config.checkpoint_types import Wav2Vec2Architecture
from pipelines.checkpoints import LocatedCheckpoint
from pipelines.engines.run import on_engine
from pipelines.engines.select import EngineChoice
from voxgraph.errors import AudioTooShort, CheckpointError
from voxgraph.results import Waveform

MIN_SAMPLES = 400
"""Receptive field of the convolutions, 0.025 s at 16 kHz."""
MIN_REDUCED_SAMPLES = 4_000
"""Shortest clip (0.25 s) that runs in the precision of the engine. Shorter ones run in float32: a mean over
few frames does not average the rounding out (in bfloat16, probabilities move by 0.07 below 0.1 s, by 0.02
below 0.15 s, by 0.001 from there)."""

MASK_EMBEDDING = "masked_spec_embed"
"""Tensor that masks spectrograms in training; inference does not use it."""

NAME_PREFIXES = (
    ("encoder.", "encoder.transformer."),
    ("feature_projection.", "encoder.feature_projection."),
    ("feature_extractor.", "feature_extractor."),
)
"""Prefixes of tensor names: (transformers, torchaudio)."""

WEIGHT_NORM_NAMES = (
    ("conv.weight_g", "conv.parametrizations.weight.original0"),
    ("conv.weight_v", "conv.parametrizations.weight.original1"),
)
"""Weight norm of the positional convolution: (name before torch's parametrizations, name since)."""


def wav2vec2_architecture(checkpoint: LocatedCheckpoint) -> Wav2Vec2Architecture:
    """Return the architecture of a wav2vec 2.0 checkpoint.

    Raises:
        CheckpointError: The checkpoint is of another kind.
    """
    if not isinstance(checkpoint.architecture, Wav2Vec2Architecture):
        raise CheckpointError(f"{checkpoint.row.hub_id} is not a wav2vec 2.0 checkpoint.")
    return checkpoint.architecture


def build_backbone(architecture: Wav2Vec2Architecture) -> Wav2Vec2Model:
    """Build the network up to its last hidden state, with random weights, for inference only."""
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


class LastHiddenState(nn.Module):
    """Return only the last hidden state of a backbone."""

    def __init__(self, backbone: Wav2Vec2Model) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, waveforms: Tensor) -> Tensor:
        """Map (batch, samples) to (batch, frames, hidden)."""
        frames: Tensor = self.backbone(waveforms)[0]
        return frames


def compile_network(network: nn.Module, choice: EngineChoice, identity: str) -> Callable[[Tensor], Tensor]:
    """Run a network on its engine; clips under `MIN_REDUCED_SAMPLES` always run in float32.

    Args:
        network: Maps (batch, samples) to a tensor; on its device.
        choice: From `pipelines.engines.select.choose`.
        identity: Identity of the checkpoint that the weights come from.

    Raises:
        CheckpointError: The engine cannot run the network on this machine.
    """
    run = on_engine(network, choice, (torch.zeros(2, 8_000),), ((-1, -1),), identity)
    if choice.precision == "float32":
        return run
    return lambda batch: (network if batch.shape[1] < MIN_REDUCED_SAMPLES else run)(batch)


def from_transformers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename transformers tensors for `build_backbone`; unknown names stay, so that loading rejects them."""
    kept = {key: tensor for key, tensor in tensors.items() if key != MASK_EMBEDDING}
    return {rename_tensor(key, NAME_PREFIXES, WEIGHT_NORM_NAMES): tensor for key, tensor in kept.items()}


def rename_tensor(key: str, prefixes: Sequence[tuple[str, str]], inner: Sequence[tuple[str, str]]) -> str:
    """Replace the first matching prefix of a key, and every inner name."""
    for old, new in prefixes:
        if key.startswith(old):
            key = new + key.removeprefix(old)
            break
    for old, new in inner:
        key = key.replace(old, new)
    return key


def normalize(waveform: Waveform, epsilon: float, device: torch.device) -> Tensor:
    """Scale a clip to zero mean and unit variance, shape (samples,).

    Raises:
        AudioTooShort: The clip has fewer than `MIN_SAMPLES` samples.
    """
    if len(waveform) < MIN_SAMPLES:
        raise AudioTooShort(f"{len(waveform)} samples; wav2vec 2.0 needs {MIN_SAMPLES} (0.025 s).")
    samples = torch.tensor(waveform, device=device)
    return (samples - samples.mean()) / torch.sqrt(samples.var(correction=0) + epsilon)


def run_by_length(run: Callable[[Tensor], Tensor], clips: Sequence[Tensor]) -> list[Tensor]:
    """Run clips in batches of equal length, so that no padding can change an output.

    Padding would affect the group norm, the attention and the pooling. The chunks of a recording have one
    length anyway.

    Args:
        run: Maps (batch, samples) to (batch, ...).
        clips: Each of shape (samples,).

    Returns:
        The output of each clip, in the order of the clips.
    """
    positions: dict[int, list[int]] = defaultdict(list)
    for position, clip in enumerate(clips):
        positions[len(clip)].append(position)
    outputs: dict[int, Tensor] = {}
    for group in positions.values():
        batch = run(torch.stack([clips[position] for position in group]))
        outputs.update(zip(group, batch, strict=True))
    return [outputs[position] for position in range(len(clips))]
