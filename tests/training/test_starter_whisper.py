"""Whisper from CTranslate2's file: every tensor lands where the network has it, and nothing else is taken."""

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from launched import ROOT
from torch import Tensor

from config.checkpoint_types import WhisperArchitecture
from pipelines.checkpoints import load_tensors
from pipelines.whisper_checkpoint import QUANTIZED_SUFFIXES, check_config, dequantized, token_rows
from pipelines.whisper_languages import LANGUAGES
from training.layouts.whisper import quantized
from training.starter.ctranslate2 import TYPES, read_model
from training.starter.whisper import convert
from voxgraph.errors import CheckpointError

TINY = WhisperArchitecture(
    n_mels=3, hidden_size=4, encoder_layers=1, decoder_layers=2, attention_heads=2, intermediate_size=6,
    positions=5, decoder_positions=3, vocabulary=130, start_token=20,
)  # fmt: skip
Arrays = dict[str, np.ndarray]
Change = Callable[[Arrays], Any]


def layer(prefix: str, random: np.random.Generator, *, is_decoder: bool) -> Arrays:
    """A transformer layer as CTranslate2 names it."""
    shapes: dict[str, tuple[int, ...]] = {
        "self_attention/linear_0": (12, 4), "self_attention/linear_1": (4, 4),
        "ffn/linear_0": (6, 4), "ffn/linear_1": (4, 6),
    }  # fmt: skip
    norms = ["self_attention", "ffn"]
    if is_decoder:
        norms.append("attention")
        shapes |= {"attention/linear_0": (4, 4), "attention/linear_1": (8, 4), "attention/linear_2": (4, 4)}
    made = {}
    for name, shape in shapes.items():
        made[f"{prefix}/{name}/weight"] = random.normal(size=shape)
        made[f"{prefix}/{name}/bias"] = random.normal(size=shape[:1])
    made[f"{prefix}/self_attention/linear_0/bias"][4:8] = 0
    if is_decoder:
        made[f"{prefix}/attention/linear_1/bias"][:4] = 0
    for name in norms:
        made[f"{prefix}/{name}/layer_norm/gamma"] = random.normal(size=4)
        made[f"{prefix}/{name}/layer_norm/beta"] = random.normal(size=4)
    return made


def variables() -> Arrays:
    """A tiny Whisper in float16."""
    random = np.random.default_rng(0)
    made = layer("encoder/layer_0", random, is_decoder=False)
    for number in range(TINY.decoder_layers):
        made |= layer(f"decoder/layer_{number}", random, is_decoder=True)
    shapes = {
        "encoder/conv1/weight": (4, 3, 3), "encoder/conv1/bias": (4,),
        "encoder/conv2/weight": (4, 4, 3), "encoder/conv2/bias": (4,),
        "encoder/position_encodings/encodings": (5, 4),
        "decoder/embeddings/weight": (130, 4), "decoder/position_encodings/encodings": (3, 4),
    }  # fmt: skip
    made |= {name: random.normal(size=shape) for name, shape in shapes.items()}
    for part in ("encoder", "decoder"):
        made[f"{part}/layer_norm/gamma"] = random.normal(size=4)
        made[f"{part}/layer_norm/beta"] = random.normal(size=4)
    halves = {name: array.astype(np.float16) for name, array in made.items()}
    for part in ("encoder", "decoder"):
        halves[f"{part}/num_heads"] = np.array(2, np.int16)
        halves[f"{part}/pre_norm"] = np.array(1, np.int8)
    halves["decoder/alignment_heads"] = np.ones((1, 2), np.int16)
    return halves


def string(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def model_bin(arrays: Arrays, *, version: int = 6, name: str = "WhisperSpec") -> bytes:
    """What CTranslate2 writes."""
    numbers = {np.dtype(kind): number for number, kind in TYPES.items()}
    parts = [struct.pack("<I", version), string(name), struct.pack("<II", 3, len(arrays))]
    for key, array in arrays.items():
        parts += [string(key), struct.pack("<B", array.ndim), struct.pack(f"<{array.ndim}I", *array.shape)]
        parts += [struct.pack("<BI", numbers[array.dtype], array.nbytes), array.tobytes()]
    return b"".join(parts) + struct.pack("<I", 0)


def vocabulary() -> list[str]:
    tokens = [f"word {number}" for number in range(TINY.vocabulary)]
    tokens[TINY.start_token] = "<|startoftranscript|>"
    rows = token_rows(TINY)
    for row, label in zip(rows[:-1], LANGUAGES, strict=False):
        tokens[row] = f"<|{label.partition(': ')[0]}|>"
    tokens[rows[-2] + 1], tokens[rows[-1]] = "<|translate|>", "<|nocaptions|>"
    return tokens


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The model in two parts, in folders of their own."""
    folder = tmp_path / "source"
    data = model_bin(variables())
    for number, part in ((1, data[:5_000]), (2, data[5_000:])):
        (folder / str(number)).mkdir(parents=True)
        (folder / str(number) / f"model.bin.part{number}").write_bytes(part)
    (folder / "2" / "vocabulary.json").write_text(json.dumps(vocabulary()))
    return folder


def test_the_file_is_read_as_it_was_written() -> None:
    arrays = variables()

    found = read_model(model_bin(arrays))

    assert (found.specification, found.revision) == ("WhisperSpec", 3)
    assert found.variables.keys() == arrays.keys()
    assert all(np.array_equal(found.variables[name], array) for name, array in arrays.items())


def test_every_tensor_lands_where_the_network_has_it(source: Path, tmp_path: Path) -> None:
    arrays = variables()
    joined = arrays["decoder/layer_1/self_attention/linear_0/weight"]
    both = arrays["decoder/layer_0/attention/linear_1/weight"]
    tokens = arrays["decoder/embeddings/weight"]

    convert(source, tmp_path, TINY)

    check_config(tmp_path / "config.json", TINY)
    encoder, decoder = (
        dequantized(load_tensors(tmp_path / f"{part}.safetensors")) for part in ("encoder", "decoder")
    )
    expected = {
        "layers.0.self_attn.q_proj.weight": arrays["encoder/layer_0/self_attention/linear_0/weight"][:4],
        "layers.0.self_attn.k_proj.weight": arrays["encoder/layer_0/self_attention/linear_0/weight"][4:8],
        "layers.0.self_attn.v_proj.bias": arrays["encoder/layer_0/self_attention/linear_0/bias"][8:],
        "layers.0.self_attn_layer_norm.weight": arrays["encoder/layer_0/self_attention/layer_norm/gamma"],
        "layers.0.final_layer_norm.bias": arrays["encoder/layer_0/ffn/layer_norm/beta"],
        "layers.0.fc2.weight": arrays["encoder/layer_0/ffn/linear_1/weight"],
        "embed_positions.weight": arrays["encoder/position_encodings/encodings"],
        "layer_norm.weight": arrays["encoder/layer_norm/gamma"],
        "conv2.weight": arrays["encoder/conv2/weight"],
    }
    for name, array in expected.items():
        check_stored(encoder[name], array, name)
    places = arrays["decoder/position_encodings/encodings"]
    expected = {
        "layers.1.self_attn.v_proj.weight": joined[8:],
        "layers.0.encoder_attn.k_proj.weight": both[:4],
        "layers.0.encoder_attn.v_proj.weight": both[4:],
        "layers.0.encoder_attn.out_proj.bias": arrays["decoder/layer_0/attention/linear_2/bias"],
        "layers.1.encoder_attn_layer_norm.weight": arrays["decoder/layer_1/attention/layer_norm/gamma"],
        "start": tokens[20] + places[0],
        "tokens": tokens[[*range(21, 120), 124]],
    }
    for name, array in expected.items():
        check_stored(decoder[name], array, name)
    assert not any("self_attn.q_proj" in name or "self_attn.k_proj" in name for name in decoder)


def check_stored(tensor: Tensor, array: np.ndarray, name: str) -> None:
    """Check equality, for int8 within half a step of the row's scale."""
    if name.endswith(QUANTIZED_SUFFIXES):
        expected = array.astype(np.float32)
        steps = np.abs(expected).reshape(len(expected), -1).max(axis=1) / 127
        errors = np.abs(tensor.numpy() - expected).reshape(len(expected), -1).max(axis=1)
        assert (errors <= 0.5001 * steps).all(), name
    else:
        assert np.array_equal(tensor.numpy(), array), name


@pytest.mark.parametrize("shape", [(7, 33), (5, 4, 3)])
def test_quantized_weights_are_within_half_a_step(shape: tuple[int, ...]) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))

    integers, scales = quantized(weight)

    assert (integers.dtype, integers.shape, scales.shape) == (torch.int8, weight.shape, shape[:1])
    restored = dequantized({"w": integers, "w_scale": scales})["w"]
    steps = scales.view(-1, *[1] * (len(shape) - 1))
    assert ((restored - weight).abs() <= 0.5001 * steps).all()


def test_a_row_of_zeros_stays_zero() -> None:
    integers, scales = quantized(torch.zeros(2, 3))

    assert not dequantized({"w": integers, "w_scale": scales})["w"].any()


@pytest.mark.parametrize("scales", [{}, {"w_scale": torch.ones(3)}])
def test_integers_without_their_scales_are_refused(scales: dict[str, Tensor]) -> None:
    with pytest.raises(CheckpointError, match="no scale for each of its 2 outputs"):
        dequantized({"w": torch.ones(2, 3, dtype=torch.int8), **scales})


def changed(source: Path, change: Change, **header: Any) -> None:
    """Write the whole model file instead of its parts, with other variables or another header."""
    arrays = variables()
    change(arrays)
    (source / "model.bin").write_bytes(model_bin(arrays, **header))


def nothing(_: Arrays) -> None:
    pass


@pytest.mark.parametrize(
    ("change", "header", "message"),
    [
        (nothing, {"version": 5}, "binary version 5"),
        (nothing, {"name": "TransformerSpec"}, "of TransformerSpec 3, not Whisper's"),
        (lambda arrays: arrays.pop("encoder/conv1/bias"), {}, r"missing encoder\.conv1\.bias"),
        (lambda arrays: arrays.update({"encoder/extra": np.ones(3, np.float16)}), {}, "unexpected"),
        (lambda arrays: arrays.update({"encoder/num_heads": np.array(1, np.int16)}), {}, "has 1 heads"),
        (lambda arrays: arrays.pop("decoder/num_heads"), {}, "has None heads"),
        (lambda arrays: arrays["encoder/layer_0/self_attention/linear_0/bias"].fill(1), {}, "keys"),
        (lambda arrays: arrays.pop("decoder/embeddings/weight"), {}, "embed_tokens"),
    ],
)
def test_another_model_is_refused(
    change: Change, header: dict[str, Any], message: str, source: Path, tmp_path: Path
) -> None:
    changed(source, change, **header)

    with pytest.raises(CheckpointError, match=message):
        convert(source, tmp_path / "to", TINY)


@pytest.mark.parametrize("size", [0, 3, 30, 2_000])
def test_a_file_that_is_cut_short_is_refused(size: int) -> None:
    with pytest.raises(CheckpointError, match="cut short"):
        read_model(model_bin(variables())[:size])


def test_a_variable_of_another_size_than_its_shape_is_refused() -> None:
    data = model_bin({"a": np.zeros(4, np.float32)}).replace(
        struct.pack("<BI", 1, 4), struct.pack("<BI", 1, 5)
    )

    with pytest.raises(CheckpointError, match="16 bytes for a"):
        read_model(data)


@pytest.mark.parametrize(
    ("row", "token", "message"),
    [(20, "<|endoftext|>", "Token 20 is"), (22, "<|de|>", "Token 22 is"), (124, "<|0.00|>", "Token 124 is"),
     (120, "<|yue|>", "more languages than 99")],
)  # fmt: skip
def test_other_tokens_are_refused(row: int, token: str, message: str, source: Path, tmp_path: Path) -> None:
    tokens = vocabulary()
    tokens[row] = token
    (source / "2" / "vocabulary.json").write_text(json.dumps(tokens))

    with pytest.raises(CheckpointError, match=message):
        convert(source, tmp_path / "to", TINY)


@pytest.mark.parametrize("content", ["{}", "[1]", "[", '["a"]'])
def test_a_vocabulary_that_is_no_list_of_its_tokens_is_refused(
    content: str, source: Path, tmp_path: Path
) -> None:
    (source / "2" / "vocabulary.json").write_text(content)

    with pytest.raises(CheckpointError, match="vocabulary"):
        convert(source, tmp_path / "to", TINY)


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "training.starter.whisper",
        "--from",
        str(tmp_path),
        "--to",
        str(tmp_path),
    ]

    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)

    assert found.returncode == 1
    assert f"There is no model.bin in {tmp_path}." in found.stderr
