"""An evaluation that starts the graph itself, on recordings of the tests."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
from launched import ROOT

MARK = "STARTED_BY_EVALUATION"
CLIPS = {"de_f3": "de", "en_m3": "en", "fr_m3": "fr"}


def test_an_evaluation_starts_the_graph_of_its_configuration_and_stops_it(tmp_path: Path) -> None:
    lines = ["file\tlang\tspeaker\tlabel"]
    for name, language in CLIPS.items():
        shutil.copy(ROOT / "tests" / "data" / f"{name}.flac", tmp_path)
        lines.append(f"{name}.flac\t{language}\t{name}\tfake")
    (tmp_path / "manifest.tsv").write_text("\n".join(lines) + "\n")
    for suffix in ("flac", "rttm"):
        shutil.copy(ROOT / "tests" / "data" / f"conversation.{suffix}", tmp_path)
    out = tmp_path / "out"

    command = [sys.executable, "-m", "evaluation", str(tmp_path), "--config", "config/starter.yaml"]
    finished = subprocess.run(
        [*command, "--out", str(out)],
        cwd=ROOT, env=os.environ | {MARK: str(out)}, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip

    assert finished.returncode == 0, finished.stderr
    report = json.loads((out / "report.json").read_text())
    assert report["questions"]["language"]["figures"]["clips"] == len(CLIPS)
    assert report["questions"]["deepfake"]["figures"]["generated clips"] == len(CLIPS)
    assert 0 <= report["questions"]["diarization"]["figures"]["DER"] < 1
    assert report["failures"] == []
    assert report["models"]["language"]["source"] == "starter"
    assert [process.name() for process in psutil.process_iter() if is_marked(process, str(out))] == []


def is_marked(process: psutil.Process, value: str) -> bool:
    """Whether the evaluation or what it started has started a process."""
    with contextlib.suppress(psutil.Error):
        return process.environ().get(MARK) == value
    return False
