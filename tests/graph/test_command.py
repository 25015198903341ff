"""Every subcommand against the running graph, and against the graph in this process."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
import yaml
from launched import ROOT, Launched
from recordings import DATA
from small_checkpoints import small_graph

from deployments import local
from deployments.loading import read_settings
from voxgraph.cli.app import main

VOICE, OTHER = str(DATA / "voice.wav"), str(DATA / "other.wav")
QUESTIONS = [
    ("analyze", VOICE), ("language", VOICE), ("accent", VOICE), ("deepfake", VOICE), ("diarize", VOICE),
    ("embed", VOICE), ("compare", VOICE, OTHER), ("status", "--json"), ("openapi",),
]  # fmt: skip
FIELDS = {
    "analyze": "language", "language": "language", "accent": "accent", "deepfake": "verdict",
    "diarize": "diarization_results", "embed": "embedding", "compare": "similarity_score", "status": "models",
    "openapi": "paths",
}  # fmt: skip


@pytest.fixture(scope="module")
def small_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "small.yaml"
    path.write_text(yaml.safe_dump(small_graph()))
    return path


@pytest.fixture(scope="module")
def in_process(small_config: Path) -> Iterator[Path]:
    """Serve the small checkpoints in this process, once for all tests."""
    with local.serving(read_settings(small_config)) as socket:
        yield socket


@pytest.fixture(params=["running graph", "this process"])
def place(
    request: pytest.FixtureRequest,
    service: Launched,
    in_process: Path,
    small_config: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    """Return the arguments that name what answers."""
    if request.param == "running graph":
        return ["--url", service.url]
    monkeypatch.setattr(local, "serving", lambda _settings: contextlib.nullcontext(in_process))
    return ["--local", "--config", str(small_config)]


@pytest.mark.parametrize("arguments", QUESTIONS, ids=lambda arguments: arguments[0])
def test_a_command_answers(
    place: list[str], capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert main([*arguments, *place]) == 0
    assert json.loads(capsys.readouterr().out)[FIELDS[arguments[0]]]


def test_both_answer_the_same(service: Launched, small_config: Path, tmp_path: Path) -> None:
    """The second run is the command as users start it: it loads the model, answers and ends."""
    run = [sys.executable, "-m", "voxgraph", "language", VOICE]
    remote, here = (
        subprocess.run([*run, *where], capture_output=True, text=True, timeout=120, cwd=ROOT, check=True)
        for where in (["--url", service.url], ["--local", "--config", str(small_config)])
    )

    one, other = json.loads(remote.stdout), json.loads(here.stdout)
    assert one["language"] == other["language"]
    assert one["confidence"] == pytest.approx(other["confidence"], abs=1e-3)


def test_the_doctor_finds_the_running_graph_well(
    service: Launched, small_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["doctor", "--url", service.url, "--config", str(small_config)])

    assert f"{service.url} answers: voxgraph" in capsys.readouterr().out


def test_an_evaluation_asks_the_server_of_the_environment(
    service: Launched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("de_f3", "en_m3"):
        (tmp_path / f"{name}.flac").write_bytes((DATA / f"{name}.flac").read_bytes())
    (tmp_path / "manifest.tsv").write_text("file\tlang\nde_f3.flac\tde\nen_m3.flac\ten\n")
    monkeypatch.setenv("VOXGRAPH_URL", service.url)

    status = main(["eval", str(tmp_path), "--only", "language", "--out", str(tmp_path / "out")])

    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert status == 0, capsys.readouterr().err
    assert report["questions"]["language"]["figures"]["clips"] == 2
    assert report["failures"] == []


def test_a_benchmark_starts_a_graph_measures_it_and_stops_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "voxgraph", "bench", "--only", "starter-start"],
        cwd=ROOT, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("| starter.yaml |")]
    assert "graph" in row


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the recordings of the first tries of a new user."""
    for name in ("meeting.m4a", "b.mp3"):
        transcode(DATA / "conversation.flac", tmp_path / name)
    for name in ("a.wav", "x.wav"):
        (tmp_path / name).write_bytes((DATA / "voice.wav").read_bytes())
    return tmp_path


def transcode(source: Path, target: Path) -> None:
    codec = {".m4a": "aac", ".mp3": "mp3"}[target.suffix]
    with av.open(str(source)) as given, av.open(str(target), "w") as written:
        stream = written.add_stream(codec, rate=16_000)
        for frame in given.decode(audio=0):
            written.mux(stream.encode(frame))
        written.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("analyze meeting.m4a", '"diarization"'),
        ("compare a.wav b.mp3", '"same_speaker"'),
        ("diarize x.wav --format rttm", "SPEAKER x 1 "),
    ],
)
def test_the_first_tries_work_as_they_are_printed(
    service: Launched, folder: Path, line: str, said: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "voxgraph", *line.split()],
        cwd=folder, env=os.environ | {"VOXGRAPH_URL": service.url, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert said in done.stdout
