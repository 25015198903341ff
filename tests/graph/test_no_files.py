"""Audio is never written to disk while uploads are answered."""

import io
import subprocess
import sys
from pathlib import Path

import httpx2
import numpy as np
import psutil
import pytest
import soundfile
from launched import Launched

from deployments.launch.private import session_folder

QUESTIONS = {"tasks": "language,speaker,deepfake", "allow_no_speech": "true"}
LOG_BYTES = 512 * 1024
"""Bytes that a few requests may log: access logs of the proxy, the replicas and Ray, in pages of 4 KiB."""


def written(processes: list[psutil.Process]) -> dict[int, int]:
    """Return the bytes that each process has written to disk, including files deleted since."""
    return {process.pid: process.io_counters().write_bytes for process in processes}


def upload(size: int) -> bytes:
    """Return a 44.1 kHz stereo WAV of noise of about `size` bytes."""
    samples = np.random.default_rng(0).normal(0, 0.05, (size // 4, 2)).astype(np.float32)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 44_100, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def files_under(*folders: Path) -> set[Path]:
    return {path for folder in folders for path in folder.rglob("*") if path.is_file()}


def watched_folders() -> list[Path]:
    """Return the folders of temporary files, spilled objects and an overflowing object store."""
    return [session_folder(), Path("/var/tmp")]


@pytest.mark.parametrize("size", [200_000, 40_000_000])
@pytest.mark.parametrize("raw", [False, True], ids=["form", "raw"])
def test_no_file_is_written_while_an_upload_is_answered(
    service: Launched, http: httpx2.Client, size: int, raw: bool
) -> None:
    body = upload(size)
    http.post(
        "/v1/analyze", params=QUESTIONS | {"tasks": "language,deepfake"}, files={"file": upload(100_000)}
    )
    files, before = files_under(*watched_folders()), written(service.processes())

    kwargs = {"content": body, "headers": {"content-type": "audio/wav"}} if raw else {"files": {"file": body}}
    response = http.post("/v1/analyze", params=QUESTIONS, **kwargs)

    assert response.status_code == 200, response.text
    after = written(service.processes())
    assert sum(after[pid] - before.get(pid, 0) for pid in after) < min(LOG_BYTES, size)
    new = files_under(*watched_folders()) - files
    assert not [path for path in new if "logs" not in path.parts and "__pycache__" not in path.parts]


def test_the_count_includes_a_deleted_temporary_file(tmp_path: Path) -> None:
    code = (
        "import tempfile, psutil, os\n"
        f"with tempfile.TemporaryFile(dir={str(tmp_path)!r}) as file:\n"
        "    file.write(os.urandom(2_000_000)); file.flush()\n"
        "print(psutil.Process().io_counters().write_bytes)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert int(ran.stdout) >= 2_000_000
