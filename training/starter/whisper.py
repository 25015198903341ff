"""``python -m training.starter.whisper``: make the language starter from CTranslate2's Whisper base.

The source is a folder that contains, at any depth, ``model.bin`` or its parts (``model.bin.part1`` and so on)
and ``vocabulary.json``. The result has the small layout that `pipelines.whisper_checkpoint` reads.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from config.checkpoint_types import WhisperArchitecture
from config.settings import Size
from config.starter_checkpoints import STARTER_CHECKPOINTS
from pipelines.checkpoints import Unfilled, load_state
from pipelines.whisper_checkpoint import PARTS, from_published, token_rows
from pipelines.whisper_languages import LANGUAGES
from pipelines.whisper_network import WhisperNetwork
from training.layouts.whisper import write_small_layout
from training.starter.ctranslate2 import read_model
from voxgraph.errors import CheckpointError
from voxgraph.options import ModelKey

SPECIFICATION, REVISION = "WhisperSpec", 3
START, NOSPEECH = "<|startoftranscript|>", ("<|nospeech|>", "<|nocaptions|>")
"""Tokens of the vocabulary; the name of the second depends on the version of Whisper's tokenizer."""

Arrays = Mapping[str, npt.NDArray[np.generic]]


def main() -> int:
    """Convert the source; return 1 if it is not Whisper base."""
    parser = argparse.ArgumentParser(prog="python -m training.starter.whisper", description=__doc__)
    parser.add_argument("--from", dest="source", type=Path, required=True, help="folder of the source")
    parser.add_argument("--to", type=Path, required=True, help="folder of the checkpoint")
    options = parser.parse_args()
    architecture = STARTER_CHECKPOINTS[ModelKey.LANGUAGE].architectures[Size.STARTER]
    assert isinstance(architecture, WhisperArchitecture)
    try:
        convert(options.source, options.to, architecture)
    except CheckpointError as error:
        print(error.detail, file=sys.stderr)
        return 1
    return 0


def convert(source: Path, to: Path, architecture: WhisperArchitecture) -> None:
    """Write the small layout of a Whisper model.

    Args:
        source: Folder of the CTranslate2 model.
        to: Output folder, created if missing; files of the layout in it are replaced.
        architecture: Sizes that the source must have.

    Raises:
        CheckpointError: The source is incomplete, or has other sizes or tokens.
    """
    model = read_model(_model_bytes(source))
    if (model.specification, model.revision) != (SPECIFICATION, REVISION):
        raise CheckpointError(f"The model file is of {model.specification} {model.revision}, not Whisper's.")
    _check_heads(model.variables, architecture)
    check_tokens(_vocabulary(source), architecture)
    published = dict(_published(model.variables, architecture))
    with Unfilled():
        network = WhisperNetwork(architecture)
    load_state(network, from_published(published, architecture), "The model file")
    write_small_layout(network, architecture, to)


def check_tokens(vocabulary: list[str], architecture: WhisperArchitecture) -> None:
    """Check that the tokens to keep are at the expected positions of the vocabulary.

    Args:
        vocabulary: Tokens by index.
        architecture: Architecture that gives the expected positions.

    Raises:
        CheckpointError: A token differs, or the number of languages does.
    """
    if len(vocabulary) != architecture.vocabulary:
        raise CheckpointError(f"The vocabulary has {len(vocabulary)} tokens, not {architecture.vocabulary}.")
    codes = [label.partition(": ")[0] for label in LANGUAGES[: architecture.n_labels]]
    rows = [architecture.start_token, *token_rows(architecture)]
    expected = [(START,), *((f"<|{code}|>",) for code in codes), NOSPEECH]
    for row, names in zip(rows, expected, strict=True):
        if vocabulary[row] not in names:
            raise CheckpointError(f"Token {row} is {vocabulary[row]}, not {names[0]}.")
    if vocabulary[rows[-2] + 1] != "<|translate|>":
        raise CheckpointError(f"The vocabulary has more languages than {architecture.n_labels}.")


def _model_bytes(source: Path) -> bytes:
    """Return the content of the model file, whole or joined from its parts in the order of their names."""
    whole = sorted(source.rglob("model.bin")) or sorted(
        source.rglob("model.bin.part*"), key=lambda path: (len(path.name), path.name)
    )
    if not whole:
        raise CheckpointError(f"There is no model.bin in {source}.")
    return b"".join(path.read_bytes() for path in whole)


def _vocabulary(source: Path) -> list[str]:
    """Return the tokens by index."""
    files = sorted(source.rglob("vocabulary.json"))
    if not files:
        raise CheckpointError(f"There is no vocabulary.json in {source}.")
    try:
        tokens = json.loads(files[0].read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError("vocabulary.json is not JSON.") from error
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise CheckpointError("vocabulary.json is not a list of tokens.")
    return tokens


def _check_heads(variables: Arrays, architecture: WhisperArchitecture) -> None:
    """Check the number of heads, which tensor shapes do not show."""
    for part in PARTS:
        heads = variables.get(f"{part}/num_heads")
        if heads is None or int(heads) != architecture.attention_heads:
            raise CheckpointError(f"The {part} has {heads} heads, not {architecture.attention_heads}.")


_LINEAR_NAMES = {
    "self_attention/linear_0": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_attention/linear_1": ("self_attn.out_proj",),
    "attention/linear_0": ("encoder_attn.q_proj",),
    "attention/linear_1": ("encoder_attn.k_proj", "encoder_attn.v_proj"),
    "attention/linear_2": ("encoder_attn.out_proj",),
    "ffn/linear_0": ("fc1",),
    "ffn/linear_1": ("fc2",),
}
"""CTranslate2's linear layers of a transformer layer, and transformers' layers that each of them joins."""
_NORM_NAMES = {
    "self_attention/layer_norm": "self_attn_layer_norm",
    "attention/layer_norm": "encoder_attn_layer_norm",
    "ffn/layer_norm": "final_layer_norm",
    "layer_norm": "layer_norm",
}
_NORM_KINDS = {"gamma": "weight", "beta": "bias"}
_EMBEDDING_NAMES = {
    "embeddings/weight": "embed_tokens.weight",
    "position_encodings/encodings": "embed_positions.weight",
}


def _published(variables: Arrays, architecture: WhisperArchitecture) -> Iterator[tuple[str, Tensor]]:
    """Return the tensors of encoder and decoder under transformers' names.

    Entries that are not weights (single numbers, and the heads for word timing) are left out.
    """
    for name, array in variables.items():
        part, _, rest = name.partition("/")
        if array.ndim == 0 or part not in PARTS or rest.startswith("alignment_"):
            continue
        found = re.match(r"layer_(\d+)/", rest)
        prefix = f"{part}.layers.{found[1]}." if found else f"{part}."
        inner = rest.removeprefix(found[0]) if found else rest
        tensor = torch.from_numpy(np.array(array))
        for ours, piece in _renamed(inner, tensor):
            yield prefix + ours, piece


def _renamed(inner: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Split and rename one variable; an unknown name stays, and `load_state` refuses it."""
    owner, _, kind = inner.rpartition("/")
    if owner in _LINEAR_NAMES:
        names = _LINEAR_NAMES[owner]
        for name, piece in zip(names, tensor.chunk(len(names)), strict=True):
            # The projection of the keys has no bias; joined to the others, it gets zeros.
            if kind == "bias" and name.endswith("k_proj"):
                _check_zero(piece)
            else:
                yield f"{name}.{kind}", piece
    elif owner in _NORM_NAMES:
        yield f"{_NORM_NAMES[owner]}.{_NORM_KINDS.get(kind, kind)}", tensor
    else:
        yield _EMBEDDING_NAMES.get(inner, inner.replace("/", ".")), tensor


def _check_zero(bias: Tensor) -> None:
    if bias.any():
        raise CheckpointError("The model file has a bias for keys, which Whisper does not have.")


if __name__ == "__main__":
    sys.exit(main())
