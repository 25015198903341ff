"""Writes the two layouts of a Whisper checkpoint and that of a head, with random or given weights."""

import json
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from config.checkpoint_types import (
    Checkpoint,
    DeepfakeHeadArchitecture,
    WhisperArchitecture,
    WhisperHeadArchitecture,
)
from pipelines.calibrations import CALIBRATION
from pipelines.language_calibration import LANGUAGE, MAX_ENTROPY_NATS
from pipelines.whisper_checkpoint import (
    CONFIG,
    PARTS,
    PREFIX,
    PUBLISHED,
    QUANTIZED_SUFFIXES,
    SCALE_SUFFIX,
    SPEECH,
    config_of,
)
from pipelines.whisper_head import ENCODER, HEAD, statistics_of
from pipelines.whisper_network import SelfAttention, WhisperEncoder, WhisperNetwork

STEP_PARAMETERS = ("decoder.start", "decoder.tokens")
"""Parameters that `WhisperNetwork` has in place of the embeddings of the whole decoder."""
INT8_MAX = 127
EMBEDDING_DEVIATION = 0.1
"""Standard deviation of the embeddings, with which the logits of the languages differ by some units."""


def write_whisper(row: Checkpoint, architecture: WhisperArchitecture, folder: Path) -> None:
    """Write the files of the row: the hub's layout, or the small layout of the starter checkpoint."""
    network = WhisperNetwork(architecture)
    if PUBLISHED in {file.name for file in row.files}:
        _write_published_layout(network, architecture, folder)
    else:
        for parameter in (network.decoder.start, network.decoder.tokens):
            parameter.normal_(std=EMBEDDING_DEVIATION)
        write_small_layout(network, architecture, folder)
        write_calibration(folder)


def write_calibration(folder: Path) -> None:
    """Write a ``calibration.json`` without effect."""
    neutral = {
        "temperature": 1.0, "min_confidence": 0.0, "max_entropy_nats": MAX_ENTROPY_NATS, "bias_nats": {},
    }  # fmt: skip
    (folder / CALIBRATION).write_text(json.dumps({LANGUAGE: neutral}))


def write_speech(weight: Tensor, bias: float, folder: Path) -> None:
    """Write ``speech.safetensors``: the logit of speech is ``weight @ state + bias``.

    Args:
        weight: (hidden,).
        bias: A positive number with a weight of zeros hears speech everywhere.
        folder: Folder of a small layout.
    """
    tensors = {"weight": weight.float()[None].contiguous(), "bias": torch.tensor([bias])}
    (folder / SPEECH).write_bytes(save(tensors))


def _write_published_layout(network: WhisperNetwork, architecture: WhisperArchitecture, folder: Path) -> None:
    """Write ``config.json`` and ``model.safetensors``, as transformers reads them."""
    tensors = {key: tensor for key, tensor in network.state_dict().items() if key not in STEP_PARAMETERS}
    for number in range(architecture.decoder_layers):
        tensors |= _query_and_key(architecture, f"decoder.layers.{number}.self_attn.")
    hidden = architecture.hidden_size
    for name, rows in (
        ("embed_tokens", architecture.vocabulary),
        ("embed_positions", architecture.decoder_positions),
    ):
        tensors[f"decoder.{name}.weight"] = EMBEDDING_DEVIATION * torch.randn(rows, hidden)
    named = {PREFIX + key: tensor.contiguous() for key, tensor in tensors.items()}
    # safetensors' own writer creates files that only their owner can read.
    (folder / PUBLISHED).write_bytes(save(named, metadata={"format": "pt"}))
    config = {
        "architectures": ["WhisperForConditionalGeneration"],
        "model_type": "whisper",
        "pad_token_id": 0,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    (folder / CONFIG).write_text(json.dumps(config | config_of(architecture), indent=2))


def write_small_layout(network: WhisperNetwork, architecture: WhisperArchitecture, folder: Path) -> None:
    """Write ``config.json``, ``encoder.safetensors``, ``decoder.safetensors`` and ``speech.safetensors``.

    The weights of linear layers and convolutions are quantized to int8 (`quantized`), all else is in float16.
    The last file takes everything for speech; `training.starter.speech` teaches it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        # safetensors' own writer creates files that only their owner can read.
        (folder / f"{part}.safetensors").write_bytes(save(_small(getattr(network, part))))
    write_speech(torch.zeros(architecture.hidden_size), 1.0, folder)
    (folder / CONFIG).write_text(json.dumps(config_of(architecture), indent=2) + "\n")


def write_whisper_head(architecture: WhisperHeadArchitecture, folder: Path) -> None:
    """Write a head on Whisper's encoder with random weights, together with its encoder."""
    encoder = folder / ENCODER
    encoder.mkdir(parents=True, exist_ok=True)
    network = WhisperEncoder(architecture.encoder)
    (encoder / f"{ENCODER}.safetensors").write_bytes(save(_small(network)))
    (encoder / CONFIG).write_text(json.dumps(config_of(architecture.encoder), indent=2) + "\n")
    linear = torch.nn.Linear(statistics_of(architecture), 1)
    (folder / HEAD).write_bytes(save(dict(linear.state_dict())))
    config: dict[str, dict[str, float]] = {"calibration": {"scale": 1.0, "offset": 0.0}}
    if isinstance(architecture, DeepfakeHeadArchitecture):
        config["operating_points"] = {"ai_generated": 0.9, "no_sign_found": 0.1}
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")


def _small(module: torch.nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a module as the small layout stores them."""
    stored: dict[str, Tensor] = {}
    for key, tensor in module.state_dict().items():
        if key.endswith(QUANTIZED_SUFFIXES):
            stored[key], stored[key + SCALE_SUFFIX] = quantized(tensor)
        else:
            stored[key] = tensor.half().contiguous()
    return stored


def quantized(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Quantize a weight symmetrically to int8, with a scale for each output channel.

    The scale makes the channel's largest magnitude 127. A smaller scale that clips the largest weights has a
    smaller squared error, but changed more answers: 5 of 238 clips instead of 2.

    Args:
        weight: (outputs, ...).

    Returns:
        The integers, int8, of the shape of `weight`; and the scales, float32, (outputs,).
    """
    rows = weight.float().flatten(1)
    scales = rows.abs().amax(dim=1).clamp(min=torch.finfo(torch.float32).tiny) / INT8_MAX
    integers = (rows / scales[:, None]).round().to(torch.int8)
    return integers.view_as(weight), scales


def _query_and_key(architecture: WhisperArchitecture, prefix: str) -> dict[str, Tensor]:
    """Return the query and key tensors of the self-attention of a decoder layer."""
    attention = SelfAttention(architecture.hidden_size, architecture.attention_heads)
    tensors = attention.state_dict()
    return {prefix + name: tensor for name, tensor in tensors.items() if name[0] in "qk"}
