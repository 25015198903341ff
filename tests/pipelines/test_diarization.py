"""Test diarization: options, edge cases of the audio, and checkpoints that try to run code."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from launched import ROOT, sample_path
from taking_turns import check_steps

from config.settings import AudioLimits, CheckpointSource, Size
from pipelines.audio.decoding import decode
from pipelines.checkpoints import LocatedCheckpoint, locate
from pipelines.diarization import Diarizer
from voxgraph.errors import CheckpointError, InvalidOptions
from voxgraph.options import ModelKey, SpeakerCount
from voxgraph.results import Waveform

Small = Callable[[ModelKey], LocatedCheckpoint]
KEYS = [ModelKey.DIARIZATION_31, ModelKey.DIARIZATION_COMMUNITY_1]


@pytest.fixture(scope="module", params=KEYS)
def diarizer(request: pytest.FixtureRequest, small: Small) -> Diarizer:
    return Diarizer(small(request.param), "cpu")


@pytest.fixture(scope="module")
def conversation() -> Waveform:
    return decode(sample_path().read_bytes(), AudioLimits())


def copy_of(small: Small, folder: Path, model: ModelKey = KEYS[1]) -> Path:
    shutil.copytree(small(model).folder, folder, dirs_exist_ok=True)
    return folder


def load(folder: Path, model: ModelKey = KEYS[1]) -> Diarizer:
    return Diarizer(locate(model, CheckpointSource(source=str(folder), size=Size.SMALL)), "cpu")


def test_turns_are_inside_the_recording_and_name_their_speakers(
    diarizer: Diarizer, conversation: Waveform
) -> None:
    found = diarizer(conversation, SpeakerCount())

    assert len(found.turns) > 1
    assert all(0 <= turn.start_s < turn.end_s <= 30.0 for turn in (*found.turns, *found.exclusive_turns))
    assert {turn.speaker for turn in found.turns} == set(found.speakers)
    assert found.turns[0].speaker == "SPEAKER_00"
    assert list(found.turns) == sorted(found.turns, key=lambda turn: turn.start_s)


def test_the_number_of_speakers_is_kept(diarizer: Diarizer, conversation: Waveform) -> None:
    assert len(diarizer(conversation, SpeakerCount(num_speakers=2)).speakers) == 2
    assert len(diarizer(conversation, SpeakerCount(num_speakers=1)).speakers) == 1
    assert len(diarizer(conversation, SpeakerCount(min_speakers=3, max_speakers=3)).speakers) == 3
    assert len(diarizer(conversation, SpeakerCount(max_speakers=1)).speakers) == 1


def test_exclusive_turns_do_not_overlap(diarizer: Diarizer, conversation: Waveform) -> None:
    turns = sorted(diarizer(conversation, SpeakerCount()).exclusive_turns, key=lambda turn: turn.start_s)

    assert all(before.end_s <= after.start_s + 1e-6 for before, after in pairwise(turns))


def test_requesting_more_speakers_than_voices_finds_fewer(diarizer: Diarizer, conversation: Waveform) -> None:
    found = diarizer(conversation[: 5 * 16_000], SpeakerCount(num_speakers=20))

    assert len(found.speakers) <= 20


def test_contradictory_bounds_are_refused(diarizer: Diarizer, conversation: Waveform) -> None:
    with pytest.raises(InvalidOptions, match="min_speakers is 3"):
        diarizer(conversation[:16_000], SpeakerCount(min_speakers=3, max_speakers=2))


@pytest.mark.parametrize("samples", [1, 160, 16_000, 160_000, 160_001])
def test_silence_of_any_length_has_a_result(diarizer: Diarizer, samples: int) -> None:
    found = diarizer(np.zeros(samples, np.float32), SpeakerCount())

    assert all(turn.end_s <= samples / 16_000 for turn in found.turns)


def test_the_same_recording_gives_the_same_turns_twice(diarizer: Diarizer, conversation: Waveform) -> None:
    first = diarizer(conversation, SpeakerCount())
    diarizer(conversation[:50_000], SpeakerCount(num_speakers=2))

    assert diarizer(conversation, SpeakerCount()) == first


class Exploit:
    """Makes a folder when an unrestricted unpickler loads it."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("part", ["segmentation", "embedding"])
def test_a_pickle_that_runs_code_is_refused_before_it_runs(small: Small, part: str, tmp_path: Path) -> None:
    folder = copy_of(small, tmp_path / "copy")
    path = folder / part / "pytorch_model.bin"
    checkpoint = torch.load(path, weights_only=False)
    torch.save(checkpoint | {"hyper_parameters": Exploit(tmp_path / "trace")}, path)

    with pytest.raises(CheckpointError, match="does not contain only tensors"):
        load(folder)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("name", ["xvec_transform.npz", "plda.npz"])
def test_an_array_that_runs_code_is_refused_before_it_runs(small: Small, name: str, tmp_path: Path) -> None:
    folder = copy_of(small, tmp_path / "copy")
    arrays = dict(np.load(folder / "plda" / name))
    arrays[next(iter(arrays))] = np.array([Exploit(tmp_path / "trace")], dtype=object)
    np.savez(folder / "plda" / name, **arrays)

    with pytest.raises(CheckpointError, match="PLDA is damaged"):
        load(folder)
    assert not (tmp_path / "trace").exists()


def narrow(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Cut a PLDA of 128 dimensions to 64."""
    return {
        name: values[:, :64] if name == "lda" else values[(slice(64),) * values.ndim]
        for name, values in arrays.items()
        if name != "mean1"
    }


@pytest.mark.parametrize("names", [["xvec_transform.npz"], ["plda.npz"], ["xvec_transform.npz", "plda.npz"]])
def test_a_plda_of_other_dimensions_is_refused(names: list[str], small: Small, tmp_path: Path) -> None:
    folder = copy_of(small, tmp_path)
    for name in names:
        arrays = dict(np.load(folder / "plda" / name))
        np.savez(folder / "plda" / name, **(arrays | narrow(arrays)))

    with pytest.raises(CheckpointError, match="PLDA"):
        load(folder)


@pytest.mark.parametrize("name", ["segmentation/pytorch_model.bin", "plda/plda.npz", "config.yaml"])
def test_a_damaged_file_is_refused(small: Small, name: str, tmp_path: Path) -> None:
    folder = copy_of(small, tmp_path)
    whole = (folder / name).read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"\0" * 100):
        (folder / name).write_bytes(damaged)
        with pytest.raises(CheckpointError):
            load(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"preprocessors": {"audio": {"name": "os.system", "params": {"command": "true"}}}},
        {"pipeline": {"name": "os.path.join", "params": {}}},
        {"pipeline": {"name": "pyannote.audio.pipelines.SpeakerDiarization", "params": {"clustering": "os"}}},
        {"params": {"clustering": {"threshold": [1]}}},
        {"params": {"unheard": {"of": 1.0}}},
        {"params": {"segmentation": {"min_duration_off": 0.0}}},
        {"freeze": {"clustering": {}}},
    ],
)
def test_a_configuration_that_names_other_code_is_refused(
    change: dict[str, Any], small: Small, tmp_path: Path
) -> None:
    folder = copy_of(small, tmp_path)
    config = yaml.safe_load((folder / "config.yaml").read_text()) | change
    (folder / "config.yaml").write_text(yaml.safe_dump(config))

    with pytest.raises(CheckpointError):
        load(folder)


def test_a_configuration_with_a_python_tag_is_refused_before_it_runs(small: Small, tmp_path: Path) -> None:
    folder = copy_of(small, tmp_path / "copy")
    trace = tmp_path / "trace"
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(f"{text}\nversion: !!python/object/apply:os.mkdir [{trace}]\n")

    with pytest.raises(CheckpointError, match="not the configuration"):
        load(folder)
    assert not trace.exists()


def test_telemetry_is_off_before_pyannote_is_imported() -> None:
    program = (
        "import pipelines.diarization\n"
        "from pyannote.audio.telemetry import metrics\n"
        "print(metrics.is_metrics_enabled())"
    )
    environment = {key: value for key, value in os.environ.items() if "PYANNOTE" not in key}

    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip

    assert ran.stdout.strip() == "False"


def test_steps_that_take_turns_find_what_calls_do(diarizer: Diarizer, conversation: Waveform) -> None:
    check_steps(diarizer, conversation)
