"""The Ray job: a bounded number of requests, retries on overload, a line per recording."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from launched import ROOT, Launched
from scripts import load_script

from voxgraph.errors import Overloaded
from voxgraph.options import Task
from voxgraph.results import Analysis, LanguageResult, Waveform

DATA = ROOT / "tests" / "data"
GERMAN = LanguageResult("de", "German", 1.0, {"de": 1.0})


class Graph:
    """A graph that answers after 10 ms and records the highest number of concurrent requests."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.in_flight = self.max_in_flight = 0

    async def analyze(self, waveform: Waveform, tasks: tuple[Task, ...]) -> Analysis:
        if self.refusals:
            self.refusals -= 1
            raise Overloaded("full")
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        await asyncio.sleep(0.01)
        self.in_flight -= 1
        return Analysis(language=GERMAN)


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load_script("examples/ray_job.py")
    monkeypatch.setattr(module, "RETRY_AFTER_S", 0.01)
    return module


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("de_f3.flac", "en_m3.flac", "ja_m3.flac", "voice.wav"):
        shutil.copy(DATA / name, tmp_path)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").write_text("no recording")
    return tmp_path


async def test_no_more_requests_than_the_window_are_in_flight(
    job: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = Graph()
    monkeypatch.setattr(job.AsyncVoxgraph, "connect", lambda: graph)

    failed = await job.answer_all(job.recordings([folder, folder]), ("language",), window=2)

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (len(lines), failed, graph.max_in_flight) == (10, 2, 2)
    assert {line["error"] for line in lines if "error" in line} == {"unsupported_audio"}


async def test_it_retries_while_the_graph_is_overloaded(
    job: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(job.AsyncVoxgraph, "connect", lambda: Graph(refusals=3))

    assert await job.answer_all(job.recordings([DATA / "voice.wav"]), ("language",), window=1) == 0
    assert json.loads(capsys.readouterr().out)["language"]["language"] == "de"


def test_on_a_real_graph_every_recording_has_its_line(service: Launched, folder: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "examples/ray_job.py", folder, "--tasks", "language", "speaker", "--window", "2"],
        cwd=ROOT, env=os.environ | {"RAY_ADDRESS": service.ray_address},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip

    lines = {Path(line["file"]).name: line for line in map(json.loads, ran.stdout.splitlines())}
    assert ran.returncode == 1, ran.stderr
    assert lines.pop("notes.txt")["error"] == "unsupported_audio"
    assert set(lines) == {"de_f3.flac", "en_m3.flac", "ja_m3.flac", "voice.wav"}
    assert {len(line["speaker"]["embedding"]["vector"]) for line in lines.values()} == {192}
    for name in ("de_f3.flac", "en_m3.flac", "ja_m3.flac"):
        assert lines[name]["language"]["language"] == name[:2]
