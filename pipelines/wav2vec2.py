"""wav2vec 2.0 from transformers, built from the typed architecture; XLSR accent and deepfake share it."""

from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import Wav2Vec2Config

from config.checkpoints import Wav2Vec2Architecture
from pipelines.checkpoints import LocatedCheckpoint
from pipelines.errors import AudioTooShort, CheckpointError
from pipelines.results import Waveform

MIN_SAMPLES = 400
"""The receptive field of the convolutions."""

OLD_WEIGHT_NORM = {
    "conv.weight_g": "conv.parametrizations.weight.original0",
    "conv.weight_v": "conv.parametrizations.weight.original1",
}
"""Names that torch gave the weight norm of the positional convolution before its parametrizations."""


def wav2vec2_architecture(checkpoint: LocatedCheckpoint) -> Wav2Vec2Architecture:
    """The architecture of a wav2vec 2.0 checkpoint.

    Raises:
        CheckpointError: Its row has one of another kind.
    """
    if not isinstance(checkpoint.architecture, Wav2Vec2Architecture):
        raise CheckpointError(f"{checkpoint.row.hub_id} is no wav2vec 2.0 checkpoint.")
    return checkpoint.architecture


def to_config(architecture: Wav2Vec2Architecture, **more: object) -> Wav2Vec2Config:
    """The configuration that transformers builds a network from; `more` are further fields of it."""
    return Wav2Vec2Config(
        hidden_size=architecture.hidden_size,
        num_hidden_layers=architecture.num_hidden_layers,
        num_attention_heads=architecture.num_attention_heads,
        intermediate_size=architecture.intermediate_size,
        feat_extract_norm=architecture.feat_extract_norm,
        conv_bias=architecture.conv_bias,
        do_stable_layer_norm=architecture.do_stable_layer_norm,
        conv_dim=list(architecture.conv_dim),
        conv_kernel=list(architecture.conv_kernel),
        conv_stride=list(architecture.conv_stride),
        num_conv_pos_embeddings=architecture.num_conv_pos_embeddings,
        num_conv_pos_embedding_groups=architecture.num_conv_pos_embedding_groups,
        classifier_proj_size=architecture.classifier_proj_size,
        num_labels=architecture.n_labels,
        **more,
    )


def modern_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under the names of today's parametrizations."""
    renamed = {}
    for key, tensor in tensors.items():
        for old, new in OLD_WEIGHT_NORM.items():
            key = key.replace(old, new)
        renamed[key] = tensor
    return renamed


def old_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under the names that published checkpoints have."""
    renamed = {}
    for key, tensor in tensors.items():
        for old, new in OLD_WEIGHT_NORM.items():
            key = key.replace(new, old)
        renamed[key] = tensor.contiguous()
    return renamed


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
