"""Ray Data over a folder: the answers of the pipelines, as Parquet that anything reads."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from launched import ROOT, Launched

from config.settings import DEMO, AudioLimits, CheckpointSource
from pipelines.audio.decoding import decode
from pipelines.checkpoints import locate
from pipelines.speaker import SpeakerEncoder
from voxgraph.options import ModelKey

DATA = ROOT / "tests" / "data"
CLIPS = ("de_f3.flac", "ja_m3.flac", "voice.wav")


@pytest.fixture(scope="module")
def rows(service: Launched, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """What the example wrote of three recordings and a file that is none, by name.

    On the cluster that is there, whose graph leaves a tenth of a core.
    """
    folder, answers = tmp_path_factory.mktemp("recordings"), tmp_path_factory.mktemp("answers")
    for name in CLIPS:
        shutil.copy(DATA / name, folder)
    (folder / "notes.txt").write_text("no recording")
    ran = subprocess.run(
        [sys.executable, "examples/batch_folder.py", folder, answers, "--cpus", "0.02"],
        cwd=ROOT, env=os.environ | {"RAY_ADDRESS": service.ray_address},
        capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return {Path(row["path"]).name: row for row in pyarrow.parquet.read_table(answers).to_pylist()}


def test_every_file_is_a_row(rows: dict[str, dict[str, object]]) -> None:
    assert set(rows) == {*CLIPS, "notes.txt"}


def test_the_answers_are_those_of_the_pipelines(rows: dict[str, dict[str, object]]) -> None:
    for name in ("de_f3.flac", "ja_m3.flac"):
        key = ModelKey.SPEAKER_CNCELEB if name.startswith("ja") else ModelKey.SPEAKER_VOXCELEB
        encoder = SpeakerEncoder(locate(key, CheckpointSource(source=DEMO)), "cpu")
        (voice,) = encoder([decode((DATA / name).read_bytes(), AudioLimits())])

        assert rows[name]["language"] == name[:2]
        assert (rows[name]["model"], rows[name]["revision"]) == (voice.model, voice.revision)
        np.testing.assert_allclose(rows[name]["embedding"], voice.vector, rtol=1e-4, atol=1e-4)


def test_a_file_that_is_no_recording_says_so(rows: dict[str, dict[str, object]]) -> None:
    row = rows["notes.txt"]

    assert "not a recording" in str(row["error"])
    assert row["embedding"] is None
    assert rows["voice.wav"]["error"] is None
