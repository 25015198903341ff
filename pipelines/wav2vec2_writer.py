"""Write the layouts of the two wav2vec 2.0 checkpoints, with weights from torch's generator."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import Wav2Vec2ForSequenceClassification, Wav2Vec2Model

from config.checkpoints import Checkpoint, Wav2Vec2Architecture
from pipelines.accent_xlsr import BACKBONE_PREFIX, HEAD_KEY
from pipelines.checkpoint_writer import write_labels
from pipelines.labels import COMMON_ACCENT_XLSR
from pipelines.wav2vec2 import old_names, to_config


def write_xlsr(row: Checkpoint, architecture: Wav2Vec2Architecture, folder: Path) -> None:
    """Write ``wav2vec2.ckpt``, ``model.ckpt``, ``label_encoder.txt`` and the file SpeechBrain executes."""
    backbone = old_names(Wav2Vec2Model(to_config(architecture)).state_dict())
    torch.save({BACKBONE_PREFIX + key: tensor for key, tensor in backbone.items()}, folder / "wav2vec2.ckpt")
    head = nn.Linear(architecture.hidden_size, architecture.n_labels, bias=False)
    torch.save({HEAD_KEY: head.weight.detach()}, folder / "model.ckpt")
    write_labels(folder / "label_encoder.txt", COMMON_ACCENT_XLSR)
    (folder / "hyperparams.yaml").write_text(_XLSR_HYPERPARAMS.format(row=row, architecture=architecture))


def write_deepfake(row: Checkpoint, architecture: Wav2Vec2Architecture, folder: Path) -> None:
    """Write ``config.json``, ``model.safetensors`` and ``preprocessor_config.json``."""
    names = {"id2label": {0: "fake", 1: "real"}, "label2id": {"fake": "0", "real": "1"}}
    config = to_config(architecture, architectures=["Wav2Vec2ForSequenceClassification"], **names)
    network = Wav2Vec2ForSequenceClassification(config)
    save_file(old_names(network.state_dict()), folder / "model.safetensors", metadata={"format": "pt"})
    fields = config.to_dict() | {"label2id": names["label2id"], "_name_or_path": row.hub_id}
    (folder / "config.json").write_text(json.dumps(fields, indent=2, default=str))
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
