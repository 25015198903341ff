"""Writes the layouts of SpeechBrain's ECAPA checkpoints: language, accent and two speaker encoders."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from config.checkpoint_types import Checkpoint, EcapaArchitecture
from config.settings import Size
from pipelines.ecapa import build_encoder, build_head
from training.layouts.common import randomise_batch_norm, write_labels
from training.layouts.labels import COMMON_ACCENT_ECAPA, VOXLINGUA107
from voxgraph.options import ModelKey

SPEAKERS = {ModelKey.SPEAKER_VOXCELEB: 7205, ModelKey.SPEAKER_CNCELEB: 2793}
"""Training speakers of the published encoders: the classes of the classifier that SpeechBrain loads."""
SMALL_SPEAKERS = 10
"""Classes of that classifier in a small checkpoint, where it would otherwise be most of the size."""


def write_ecapa(row: Checkpoint, architecture: EcapaArchitecture, folder: Path) -> None:
    """Write a checkpoint with random weights."""
    encoder = build_encoder(architecture)
    randomise_batch_norm(encoder)
    torch.save(encoder.state_dict(), folder / "embedding_model.ckpt")
    classes = _class_count(row, architecture)
    head = build_head(architecture) or _speaker_head(architecture, classes)
    randomise_batch_norm(head)
    torch.save(head.state_dict(), folder / "classifier.ckpt")
    _ECAPA_EXTRAS[row.key](architecture, classes, folder)
    interface = "SpeakerRecognition" if row.key in SPEAKERS else "EncoderClassifier"
    (folder / "config.json").write_text(json.dumps({"speechbrain_interface": interface}))
    (folder / "hyperparams.yaml").write_text(_hyperparams(row, architecture, classes))


def _class_count(row: Checkpoint, architecture: EcapaArchitecture) -> int:
    """Return the number of classes: labels, or training speakers of a speaker encoder."""
    if row.key not in SPEAKERS:
        return architecture.n_labels
    return SPEAKERS[row.key] if architecture == row.architectures[Size.FULL] else SMALL_SPEAKERS


def _speaker_head(architecture: EcapaArchitecture, classes: int) -> nn.Module:
    from pipelines.vendored.speechbrain import Classifier

    head: nn.Module = Classifier(architecture.embedding_dim, out_neurons=classes)
    return head


def _voxceleb_extras(architecture: EcapaArchitecture, classes: int, folder: Path) -> None:
    dim = architecture.embedding_dim
    statistics = {"count": 1, "glob_mean": torch.zeros(dim), "glob_std": torch.ones(1), "spk_dict_mean": {},
                  "spk_dict_std": {}, "spk_dict_count": {}}  # fmt: skip
    torch.save(statistics, folder / "mean_var_norm_emb.ckpt")
    _speaker_labels(classes, folder)


def _speaker_labels(classes: int, folder: Path) -> None:
    write_labels(folder / "label_encoder.txt", [f"id{number:05d}" for number in range(classes)])


_ECAPA_EXTRAS: dict[ModelKey, Callable[[EcapaArchitecture, int, Path], None]] = {
    ModelKey.LANGUAGE: lambda _, __, folder: write_labels(folder / "label_encoder.txt", list(VOXLINGUA107)),
    ModelKey.ACCENT_ECAPA: (
        lambda _, __, folder: write_labels(folder / "accent_encoder.txt", COMMON_ACCENT_ECAPA)
    ),
    ModelKey.SPEAKER_VOXCELEB: _voxceleb_extras,
    ModelKey.SPEAKER_CNCELEB: lambda _, classes, folder: _speaker_labels(classes, folder),
}
"""Writers of the files that a layout has besides the networks."""


def _hyperparams(row: Checkpoint, architecture: EcapaArchitecture, classes: int) -> str:
    """Return ``hyperparams.yaml``, which SpeechBrain executes and this project never reads."""
    has_statistics = row.key is ModelKey.SPEAKER_VOXCELEB
    label_file = "accent_encoder.txt" if row.key is ModelKey.ACCENT_ECAPA else "label_encoder.txt"
    activation = "    activation: !name:torch.nn.LeakyReLU\n" if architecture.leaky_relu else ""
    if architecture.head == "xvector":
        classifier = f"""classifier: !new:speechbrain.lobes.models.Xvector.Classifier
    input_shape: [null, null, {architecture.embedding_dim}]
    activation: !name:torch.nn.LeakyReLU
    lin_blocks: 1
    lin_neurons: {architecture.head_hidden}
    out_neurons: {architecture.n_labels}
"""
    else:
        classifier = f"""classifier: !new:speechbrain.lobes.models.ECAPA_TDNN.Classifier
    input_size: {architecture.embedding_dim}
    out_neurons: {classes}
"""
    statistics = """mean_var_norm_emb: !new:speechbrain.processing.features.InputNormalization
    norm_type: global
    std_norm: False
""" if has_statistics else ""  # fmt: skip
    module = "    mean_var_norm_emb: !ref <mean_var_norm_emb>\n" if has_statistics else ""
    path = (
        "        mean_var_norm_emb: !ref <pretrained_path>/mean_var_norm_emb.ckpt\n" if has_statistics else ""
    )
    return f"""pretrained_path: {row.hub_id}
n_mels: {architecture.n_mels}
compute_features: !new:speechbrain.lobes.features.Fbank
    n_mels: !ref <n_mels>
mean_var_norm: !new:speechbrain.processing.features.InputNormalization
    norm_type: sentence
    std_norm: False
embedding_model: !new:speechbrain.lobes.models.ECAPA_TDNN.ECAPA_TDNN
    input_size: !ref <n_mels>
    channels: {list(architecture.channels)}
    kernel_sizes: {list(architecture.kernel_sizes)}
    dilations: {list(architecture.dilations)}
    attention_channels: {architecture.attention_channels}
    res2net_scale: {architecture.res2net_scale}
    se_channels: {architecture.se_channels}
    lin_neurons: {architecture.embedding_dim}
{activation}{classifier}{statistics}label_encoder: !new:speechbrain.dataio.encoder.CategoricalEncoder
modules:
    compute_features: !ref <compute_features>
    mean_var_norm: !ref <mean_var_norm>
    embedding_model: !ref <embedding_model>
{module}    classifier: !ref <classifier>
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        embedding_model: !ref <embedding_model>
{module.replace("    ", "        ", 1)}        classifier: !ref <classifier>
        label_encoder: !ref <label_encoder>
    paths:
        embedding_model: !ref <pretrained_path>/embedding_model.ckpt
{path}        classifier: !ref <pretrained_path>/classifier.ckpt
        label_encoder: !ref <pretrained_path>/{label_file}
"""
