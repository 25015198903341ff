"""The clips of tests/data, and helpers to encode and send them."""

import io
import json
from typing import Any

import httpx2
import numpy as np
import soundfile
from launched import ROOT

DATA = ROOT / "tests" / "data"
LABELS: dict[str, dict[str, Any]] = json.loads((DATA / "labels.json").read_text())
FORMATS = {"WAV": None, "FLAC": None, "MP3": None, "OGG": "VORBIS"}


def samples(name: str) -> np.ndarray:
    """Read a clip of tests/data: float32, (samples,), 16 kHz."""
    read, _ = soundfile.read(DATA / name, dtype="float32")
    return np.asarray(read)


def encode(waveform: np.ndarray, kind: str = "WAV", subtype: str | None = "PCM_16") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, 16_000, format=kind, subtype=subtype)
    return buffer.getvalue()


def wav(name: str) -> bytes:
    """Return a clip of tests/data as 16-bit WAV."""
    return encode(samples(name))


def new_wav(number: int, seconds: float = 3.0) -> bytes:
    """Return a WAV of quiet noise, different for each number, so that it is never in the cache."""
    noise = np.random.default_rng(number).normal(0, 0.05, int(seconds * 16_000))
    return encode(noise.astype(np.float32))


def post(http: httpx2.Client, path: str, expected: int = 200, **sent: Any) -> dict[str, Any]:
    """Send a POST request and return the JSON; check the status and the fields of an error body."""
    response = http.post(path, **sent)
    assert response.status_code == expected, response.text
    answer: dict[str, Any] = response.json()
    if expected >= 400:
        assert {"detail", "error_type", "timestamp", "request_id"} <= set(answer)
        assert answer["error_type"] in ("ValidationError", "ProcessingError", "ModelError")
    return answer
