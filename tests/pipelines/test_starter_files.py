"""What lies in the folders of the starter checkpoints."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_checkpoints import small_checkpoint

from config.settings import CheckpointSource, Size
from config.starter_checkpoints import STARTER_CHECKPOINTS
from pipelines.calibrations import speaker_calibration
from pipelines.checkpoints import STARTER_FOLDER, load_tensors, locate
from pipelines.whisper_checkpoint import QUANTIZED_SUFFIXES, SCALE_SUFFIX
from voxgraph.calibration import SpeakerCalibration
from voxgraph.errors import CheckpointError
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


def test_another_calibration_of_the_speaker_makes_no_other_revision(tmp_path: Path) -> None:
    """A stored embedding must stay comparable when only the calibration is fitted anew."""
    shutil.copytree(STARTER_FOLDER / "speaker", tmp_path, dirs_exist_ok=True)
    source = CheckpointSource(source=str(tmp_path), size=Size.STARTER)
    before = locate(ModelKey.SPEAKER_VOXCELEB, source)
    (tmp_path / "calibration.json").write_text('{"same_speaker": {"slope": 2.5, "intercept": -1}}')

    after = locate(ModelKey.SPEAKER_VOXCELEB, source)

    assert after.revision == before.revision
    assert speaker_calibration(after) == SpeakerCalibration(2.5, -1.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not JSON"),
        ("[1]", "is not an object"),
        ("{}", "no object same_speaker"),
        ('{"same_speaker": {"slope": 1}}', "intercept None, which is not a number"),
        ('{"same_speaker": {"slope": true, "intercept": 0}}', "slope True"),
        ('{"same_speaker": {"slope": -1, "intercept": 0}}', "finite and above 0"),
        ('{"same_speaker": {"slope": 1, "intercept": Infinity}}', "intercept inf; it must be finite"),
    ],
)
def test_a_calibration_that_cannot_be_read_is_refused(content: str, message: str, tmp_path: Path) -> None:
    checkpoint = locate(ModelKey.SPEAKER_VOXCELEB, CheckpointSource(source="starter"))
    (tmp_path / "calibration.json").write_text(content)

    with pytest.raises(CheckpointError, match=message):
        speaker_calibration(replace(checkpoint, folder=tmp_path))


def test_an_encoder_of_the_hub_is_not_calibrated() -> None:
    assert speaker_calibration(small_checkpoint(ModelKey.SPEAKER_VOXCELEB)) is None
