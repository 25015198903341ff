"""What lies in the folders of the starter checkpoints."""

import json

import pytest
import torch

from config.starter_checkpoints import STARTER_CHECKPOINTS
from pipelines.checkpoints import STARTER_FOLDER, load_tensors
from pipelines.whisper_checkpoint import QUANTIZED_SUFFIXES, SCALE_SUFFIX
from voxgraph.options import ModelKey

MAX_BYTES = 50_000_000


@pytest.mark.parametrize("model", STARTER_CHECKPOINTS)
def test_a_starter_checkpoint_has_its_files_a_card_and_its_licence(model: ModelKey) -> None:
    row = STARTER_CHECKPOINTS[model]
    folder = STARTER_FOLDER / (row.starter_folder or model)

    names = {path.name for path in folder.iterdir()}

    assert names == {file.name for file in row.files} | {"README.md", "LICENSE"}
    assert "LICENSE" in (folder / "README.md").read_text()
    assert all(path.stat().st_size < MAX_BYTES for path in folder.iterdir())


def test_the_language_starter_is_stored_in_int8_and_float16() -> None:
    folder = STARTER_FOLDER / ModelKey.LANGUAGE

    for part in ("encoder", "decoder"):
        tensors = load_tensors(folder / f"{part}.safetensors")
        for name, tensor in tensors.items():
            if name.endswith(SCALE_SUFFIX):
                assert tensor.dtype is torch.float32, name
            else:
                is_quantized = name.endswith(QUANTIZED_SUFFIXES)
                assert tensor.dtype is (torch.int8 if is_quantized else torch.float16), name
    assert json.loads((folder / "config.json").read_text())["decoder_start_token_id"] == 50258
