"""The clips of tests/data, and how tests send them."""

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
    """A clip of tests/data: float32, (samples,), 16 kHz."""
    read, _ = soundfile.read(DATA / name, dtype="float32")
    return np.asarray(read)


def encoded(waveform: np.ndarray, kind: str = "WAV", subtype: str | None = "PCM_16") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, 16_000, format=kind, subtype=subtype)
    return buffer.getvalue()


def wav(name: str) -> bytes:
    """A clip of tests/data as 16-bit WAV."""
    return encoded(samples(name))


def another(number: int, seconds: float = 3.0) -> bytes:
    """A WAV that no other number has: quiet noise, so that no cache knows it."""
    noise = np.random.default_rng(number).normal(0, 0.05, int(seconds * 16_000))
    return encoded(noise.astype(np.float32))


def post(http: httpx2.Client, path: str, expected: int = 200, **sent: Any) -> dict[str, Any]:
    """The answer of an endpoint, which is to have the expected status and, if an error, our error body."""
    response = http.post(path, **sent)
    assert response.status_code == expected, response.text
    answer: dict[str, Any] = response.json()
    if expected >= 400:
        assert {"detail", "error_type", "timestamp", "request_id"} <= set(answer)
        assert answer["error_type"] in ("ValidationError", "ProcessingError", "ModelError")
    return answer
