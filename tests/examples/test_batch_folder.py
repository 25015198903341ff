"""Ray Data over a folder writes the results of the pipelines as Parquet."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from launched import ROOT, Launched

from config.settings import STARTER, AudioLimits, CheckpointSource, EngineOptions
from deployments.loading import load_pipeline
from pipelines.audio.decoding import decode
from pipelines.checkpoints import locate
from pipelines.routing import encoder_for
from voxgraph.options import ModelKey

DATA = ROOT / "tests" / "data"
CLIPS = ("de_f3.flac", "ja_m3.flac", "voice.wav")


@pytest.fixture(scope="module")
def rows(service: Launched, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """Run the example on three recordings and a text file; return its rows by file name.

    It runs on the shared cluster, where the graph leaves a tenth of a core.
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


def starter(model: ModelKey) -> Any:
    """Load a starter checkpoint as the example does by default."""
    return load_pipeline(model, locate(model, CheckpointSource(source=STARTER)), "cpu", EngineOptions())


def test_every_file_has_a_row(rows: dict[str, dict[str, object]]) -> None:
    assert set(rows) == {*CLIPS, "notes.txt"}


def test_the_results_are_those_of_the_pipelines(rows: dict[str, dict[str, object]]) -> None:
    for name in ("de_f3.flac", "ja_m3.flac"):
        clip = decode((DATA / name).read_bytes(), AudioLimits())
        (language,) = starter(ModelKey.LANGUAGE)([clip])
        (voice,) = starter(encoder_for(language.language))([clip])

        assert rows[name]["language"] == language.language
        assert (rows[name]["model"], rows[name]["revision"]) == (voice.model, voice.revision)
        np.testing.assert_allclose(rows[name]["embedding"], voice.vector, rtol=1e-4, atol=1e-4)


def test_a_file_that_is_no_recording_has_an_error(rows: dict[str, dict[str, object]]) -> None:
    row = rows["notes.txt"]

    assert "not a recording" in str(row["error"])
    assert row["embedding"] is None
    assert rows["voice.wav"]["error"] is None
