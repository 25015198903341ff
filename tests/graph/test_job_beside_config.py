"""A Ray job may have modules named like our folders, since only voxgraph types are pickled between them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from launched import ROOT, Launched

JOB = """
import config, deployments, pipelines, training
import soundfile
from voxgraph import ChunkOptions, ModelKey, SpeakerCount, VoxError, Voxgraph

assert config.NAME == "the job's own"
waveform, _ = soundfile.read({recording!r}, dtype="float32")
graph = Voxgraph.connect()
everything = graph.analyze(waveform, speakers=SpeakerCount(max_speakers=2), options=ChunkOptions(2.0, 0.0))
print(everything.language.language, everything.speaker.embedding.vector.shape, everything.accent.accent)
print(len(everything.diarization.turns), everything.deepfake.is_deepfake)
print(graph.info(ModelKey.LANGUAGE).source)
print(graph.health().failed, graph.embed(waveform, ModelKey.SPEAKER_CNCELEB).embedding.model)
progress = []
graph.diarize(waveform, on_progress=progress.append)
print(len(progress))
try:
    graph.analyze(waveform, ("karaoke",))
except VoxError as error:
    print(error.code)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("config", "deployments", "pipelines", "training"):
        (tmp_path / f"{name}.py").write_text('NAME = "the job\'s own"\n')
    recording = str(ROOT / "tests" / "data" / "voice.wav")
    (tmp_path / "job.py").write_text(JOB.format(recording=recording))
    return tmp_path


def test_a_job_with_its_own_config_module_gets_results_and_errors(service: Launched, folder: Path) -> None:
    environment = os.environ | {"RAY_ADDRESS": service.ray_address, "RAY_AUTH_MODE": "token"}

    ran = subprocess.run(
        [sys.executable, "job.py"],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip

    assert ran.returncode == 0, ran.stderr
    assert "(192,)" in ran.stdout
    assert "local" in ran.stdout
    assert "{} LanceaKing/spkrec-ecapa-cnceleb" in ran.stdout
    assert ran.stdout.rstrip().endswith("invalid_options")
