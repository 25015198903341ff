"""What clients send is found nowhere afterwards: not in a log, a folder of the cluster, or shared memory."""

import json
import mmap
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
from launched import Launched
from recordings import encode

from deployments.launch.private import session_folder

SECONDS = 12.0
"""Long enough for the object store, which has what is larger than 100 kB."""


def files_under(*folders: Path) -> Iterator[Path]:
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and path.stat().st_size:
                yield path


def holders(needles: dict[str, bytes], *folders: Path) -> list[str]:
    """Return which needle is in which file."""
    found = []
    for path in files_under(*folders):
        try:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                found += [
                    f"{name} in {path}" for name, needle in needles.items() if content.find(needle) >= 0
                ]
        except (OSError, ValueError):
            continue
    return found


def test_neither_audio_nor_embeddings_nor_names_stay_behind(service: Launched, tmp_path: Path) -> None:
    noise = np.random.default_rng(20_261_128).normal(0, 0.1, int(SECONDS * 16_000)).astype(np.float32)
    recording = encode(noise)
    vector = [round(float(value), 6) for value in np.random.default_rng(1128).normal(0, 1, 192)]
    compared = {"embedding1": vector, "embedding2": vector}
    with httpx2.Client(base_url=service.url, timeout=120) as client:
        form = {"file": ("patient-4711.wav", recording)}
        answer = client.post("/v1/analyze", params={"tasks": "language,speaker,deepfake"}, files=form)
        assert answer.status_code == 200, answer.text
        assert client.post("/compare-voices", json=compared).status_code == 200
        assert client.post("/detect-language", content=recording[:20_000]).status_code in (400, 422)
    middle = len(recording) // 2
    needles = {
        "samples": recording[middle : middle + 64],
        "samples as float32": np.frombuffer(recording[middle : middle + 64], "<i2").astype("<f4").tobytes(),
        "an embedding that was sent": json.dumps(vector[:4])[1:-1].encode(),
        "an embedding that was answered": json.dumps(answer.json()["speaker"]["embedding"][:4])[
            1:-1
        ].encode(),
        "the name of a file": b"patient-4711",
    }
    time.sleep(2.0)

    assert holders(needles, session_folder(), Path("/dev/shm"), Path("/var/tmp")) == []
    (tmp_path / "planted").write_bytes(b"..." + needles["samples"])
    assert holders(needles, tmp_path) == [f"samples in {tmp_path / 'planted'}"]
