"""Writes the layouts of the two wav2vec 2.0 checkpoints, with random weights."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torchaudio.models import Wav2Vec2Model

from config.checkpoint_types import Checkpoint, Wav2Vec2Architecture
from pipelines import accent_xlsr, deepfake
from pipelines.wav2vec2 import (
    MASK_EMBEDDING,
    NAME_PREFIXES,
    WEIGHT_NORM_NAMES,
    build_backbone,
    rename_tensor,
)
from training.layouts.common import write_labels
from training.layouts.labels import COMMON_ACCENT_XLSR


def write_xlsr(row: Checkpoint, architecture: Wav2Vec2Architecture, folder: Path) -> None:
    """Write ``wav2vec2.ckpt``, ``model.ckpt``, ``label_encoder.txt`` and ``hyperparams.yaml``."""
    backbone = to_transformers(build_backbone(architecture), architecture.hidden_size)
    prefix = accent_xlsr.BACKBONE_PREFIX
    torch.save({prefix + key: tensor for key, tensor in backbone.items()}, folder / "wav2vec2.ckpt")
    head = nn.Linear(architecture.hidden_size, architecture.n_labels, bias=False)
    torch.save({f"{accent_xlsr.HEAD_PREFIX}weight": head.weight.detach()}, folder / "model.ckpt")
    write_labels(folder / "label_encoder.txt", COMMON_ACCENT_XLSR)
    (folder / "hyperparams.yaml").write_text(_XLSR_HYPERPARAMS.format(row=row, architecture=architecture))


def write_deepfake(row: Checkpoint, architecture: Wav2Vec2Architecture, folder: Path) -> None:
    """Write ``config.json``, ``model.safetensors`` and ``preprocessor_config.json``."""
    network = deepfake.SequenceClassifier(architecture)
    backbone = to_transformers(network.wav2vec2, architecture.hidden_size)
    prefix = deepfake.BACKBONE_PREFIX
    tensors = {key: tensor for key, tensor in network.state_dict().items() if not key.startswith(prefix)}
    tensors |= {prefix + key: tensor for key, tensor in backbone.items()}
    # safetensors' own writer creates files that only their owner can read.
    (folder / "model.safetensors").write_bytes(save(tensors, metadata={"format": "pt"}))
    fields = asdict(architecture)
    del fields["n_labels"]
    config = {
        "_name_or_path": row.hub_id,
        "architectures": ["Wav2Vec2ForSequenceClassification"],
        "model_type": "wav2vec2",
        "id2label": {"0": "fake", "1": "real"},
        "label2id": {"fake": "0", "real": "1"},
        "num_feat_extract_layers": len(architecture.conv_dim),
        "apply_spec_augment": True,
        "hidden_dropout": 0.1,
        **fields,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    preprocessor = {
        "do_normalize": True,
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "feature_size": 1,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": False,
        "sampling_rate": 16000,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=2))


def to_transformers(backbone: Wav2Vec2Model, hidden_size: int) -> dict[str, Tensor]:
    """Return a backbone's tensors under transformers' names, with a random (hidden_size,) mask embedding."""
    prefixes = [(ours, theirs) for theirs, ours in NAME_PREFIXES]
    inner = [(new, old) for old, new in WEIGHT_NORM_NAMES]
    named = {
        rename_tensor(key, prefixes, inner): tensor.contiguous()
        for key, tensor in backbone.state_dict().items()
    }
    return named | {MASK_EMBEDDING: torch.rand(hidden_size)}


_XLSR_HYPERPARAMS = """pretrained_path: {row.hub_id}
wav2vec2_hub: facebook/wav2vec2-large-xlsr-53
encoder_dim: {architecture.hidden_size}
out_n_neurons: {architecture.n_labels}
wav2vec2: !new:speechbrain.lobes.models.huggingface_wav2vec.HuggingFaceWav2Vec2
    source: !ref <wav2vec2_hub>
    output_norm: True
    freeze: True
    save_path: wav2vec2_checkpoints
avg_pool: !new:speechbrain.nnet.pooling.StatisticsPooling
    return_std: False
output_mlp: !new:speechbrain.nnet.linear.Linear
    input_size: !ref <encoder_dim>
    n_neurons: !ref <out_n_neurons>
    bias: False
model: !new:torch.nn.ModuleList
    - [!ref <output_mlp>]
modules:
    wav2vec2: !ref <wav2vec2>
    output_mlp: !ref <output_mlp>
    avg_pool: !ref <avg_pool>
softmax: !new:speechbrain.nnet.activations.Softmax
label_encoder: !new:speechbrain.dataio.encoder.CategoricalEncoder
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        wav2vec2: !ref <wav2vec2>
        model: !ref <model>
        label_encoder: !ref <label_encoder>
    paths:
        wav2vec2: !ref <pretrained_path>/wav2vec2.ckpt
        model: !ref <pretrained_path>/model.ckpt
        label_encoder: !ref <pretrained_path>/label_encoder.txt
"""
