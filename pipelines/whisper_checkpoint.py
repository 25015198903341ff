"""Read Whisper checkpoints: the hub's layout, and the small layout of the starter checkpoint.

The hub's layout has the whole model in ``model.safetensors``, under transformers' names. The small layout has
the tensors that `WhisperNetwork` needs in ``encoder.safetensors`` and ``decoder.safetensors``: the weights of
linear layers and convolutions in int8 with a scale for each output channel, all else in float16. It has, too,
``speech.safetensors``, with which the same step of the decoder tells speech from other sounds.
Both have a ``config.json`` whose sizes must agree with the typed architecture, because the number of heads
cannot be read from tensor shapes.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from config.checkpoint_types import WhisperArchitecture
from pipelines.checkpoints import LocatedCheckpoint, Unfilled, load_state, load_tensors
from pipelines.whisper_network import WhisperNetwork
from voxgraph.errors import CheckpointError

CONFIG = "config.json"
PUBLISHED = "model.safetensors"
PARTS = ("encoder", "decoder")
"""The files of the small layout, and the modules of the network."""
SPEECH = "speech.safetensors"
"""File of the small layout with the weights of the logit of speech, in float32."""
PREFIX = "model."
OUTPUT = "proj_out.weight"
"""The output embedding, which some files store although it equals the input embedding."""
QUANTIZED_SUFFIXES = ("_proj.weight", "fc1.weight", "fc2.weight", "conv1.weight", "conv2.weight")
"""Tensors that the small layout has in int8."""
SCALE_SUFFIX = "_scale"
"""What the name of the scales of a quantized tensor adds to its name."""
NOSPEECH_AFTER = 5
"""Distance in tokens from the last language to ``<|nospeech|>`` (whisper/tokenizer.py of openai/whisper)."""

_UNUSED_SUFFIXES = tuple(f"self_attn.{name}" for name in ("q_proj.weight", "q_proj.bias", "k_proj.weight"))
"""Tensors without effect on self-attention over a single token."""


def whisper_architecture(checkpoint: LocatedCheckpoint) -> WhisperArchitecture:
    """Return the architecture of a Whisper checkpoint.

    Raises:
        CheckpointError: The checkpoint has another kind of architecture.
    """
    if not isinstance(checkpoint.architecture, WhisperArchitecture):
        raise CheckpointError(f"{checkpoint.row.hub_id} is not a Whisper checkpoint.")
    return checkpoint.architecture


def load_whisper(checkpoint: LocatedCheckpoint) -> WhisperNetwork:
    """Build the network of a checkpoint, in float32 and evaluation mode.

    Raises:
        CheckpointError: A file is missing or damaged, or does not fit the architecture.
    """
    architecture, name = whisper_architecture(checkpoint), checkpoint.row.hub_id
    check_config(checkpoint.file(CONFIG), architecture)
    with Unfilled():
        network = WhisperNetwork(architecture)
    if PUBLISHED in {file.name for file in checkpoint.row.files}:
        load_state(network, from_published(load_tensors(checkpoint.file(PUBLISHED)), architecture), name)
    else:
        for part in PARTS:
            tensors = dequantized(load_tensors(checkpoint.file(f"{part}.safetensors")))
            load_state(getattr(network, part), tensors, f"{name} {part}")
        network.decoder.speech = _load_speech(checkpoint, architecture)
    return network.eval().requires_grad_(False)


def _load_speech(checkpoint: LocatedCheckpoint, architecture: WhisperArchitecture) -> nn.Linear:
    with Unfilled():
        linear = nn.Linear(architecture.hidden_size, 1)
    load_state(linear, load_tensors(checkpoint.file(SPEECH)), f"{checkpoint.row.hub_id} speech")
    return linear


def dequantized(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a file of the small layout in the precision of the network, without scales.

    Args:
        tensors: int8 tensors of (outputs, ...), each with its scales of (outputs,), and floating ones.

    Raises:
        CheckpointError: An int8 tensor has no scales, or of another number.
    """
    restored = {}
    for name, tensor in tensors.items():
        if tensor.dtype is torch.int8:
            scales = tensors.get(name + SCALE_SUFFIX)
            if scales is None or scales.shape != tensor.shape[:1]:
                raise CheckpointError(f"{name} has no scale for each of its {tensor.shape[0]} outputs.")
            restored[name] = tensor * scales.view(-1, *[1] * (tensor.ndim - 1))
        elif not (name.endswith(SCALE_SUFFIX) and name.removesuffix(SCALE_SUFFIX) in tensors):
            restored[name] = tensor
    return restored


def config_of(architecture: WhisperArchitecture) -> dict[str, int]:
    """Return the sizes of an architecture under the names of ``config.json``."""
    return {
        "num_mel_bins": architecture.n_mels,
        "d_model": architecture.hidden_size,
        "encoder_layers": architecture.encoder_layers,
        "decoder_layers": architecture.decoder_layers,
        "encoder_attention_heads": architecture.attention_heads,
        "decoder_attention_heads": architecture.attention_heads,
        "encoder_ffn_dim": architecture.intermediate_size,
        "decoder_ffn_dim": architecture.intermediate_size,
        "max_source_positions": architecture.positions,
        "max_target_positions": architecture.decoder_positions,
        "vocab_size": architecture.vocabulary,
        "decoder_start_token_id": architecture.start_token,
    }


def check_config(path: Path, architecture: WhisperArchitecture) -> None:
    """Check that a ``config.json`` states the sizes of the architecture.

    Raises:
        CheckpointError: The file is not a JSON object, or a size is missing or differs.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path.name} is not JSON.") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path.name} is not an object of sizes.")
    for name, size in config_of(architecture).items():
        if found.get(name) != size:
            raise CheckpointError(f"{path.name} says {name} {found.get(name)!r}; the model has {size}.")


def from_published(tensors: Mapping[str, Tensor], architecture: WhisperArchitecture) -> dict[str, Tensor]:
    """Return a published state dict under the names of `WhisperNetwork`; `load_state` refuses unknown names.

    Args:
        tensors: State dict with transformers' names, with or without the prefix ``model.``.
        architecture: Architecture that gives the positions of the tokens.

    Raises:
        CheckpointError: An embedding of the decoder is missing or has another shape.
    """
    named = {key.removeprefix(PREFIX): tensor for key, tensor in tensors.items() if key != OUTPUT}
    tokens = _embedding(named, "decoder.embed_tokens.weight", architecture.vocabulary, architecture)
    places = _embedding(named, "decoder.embed_positions.weight", architecture.decoder_positions, architecture)
    kept = {key: tensor for key, tensor in named.items() if not _is_unused(key)}
    kept["decoder.start"] = tokens[architecture.start_token] + places[0]
    kept["decoder.tokens"] = tokens[token_rows(architecture)]
    return kept


def token_rows(architecture: WhisperArchitecture) -> list[int]:
    """Return the indices of the tokens whose logits are kept: the languages, then nospeech."""
    first = architecture.start_token + 1
    languages = range(first, first + architecture.n_labels)
    return [*languages, languages[-1] + NOSPEECH_AFTER]


def _embedding(tensors: dict[str, Tensor], name: str, rows: int, architecture: WhisperArchitecture) -> Tensor:
    """Remove an embedding from a state dict and return it."""
    found, expected = tensors.pop(name, None), (rows, architecture.hidden_size)
    if found is None or found.shape != expected:
        shape = "missing" if found is None else tuple(found.shape)
        raise CheckpointError(f"{name} is {shape}, not {expected}; it does not fit the architecture.")
    return found


def _is_unused(key: str) -> bool:
    return key.startswith("decoder.") and key.endswith(_UNUSED_SUFFIXES)
