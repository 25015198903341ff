"""Bad input over HTTP: a 4xx with the error body in under a second, and the next good request works."""

import io
import struct
import time

import httpx2
import numpy as np
import pytest
import soundfile

LIMIT_S = 1.0


def wav(samples: np.ndarray, subtype: str = "PCM_16") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 16_000, format="WAV", subtype=subtype)
    return buffer.getvalue()


def tone(seconds: float, channels: int = 1) -> np.ndarray:
    time_s = np.arange(int(seconds * 16_000)) / 16_000
    return np.repeat(0.3 * np.sin(2 * np.pi * 220 * time_s)[:, None], channels, axis=1).astype(np.float32)


def truncated_mp3() -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, tone(3), 16_000, format="MP3")
    return buffer.getvalue()[: -len(buffer.getvalue()) // 3 + 7]


def header_lie() -> bytes:
    """A WAV of 100 samples whose header claims 4 GB."""
    lie = bytearray(wav(tone(0.00625)))
    data = lie.index(b"data")
    lie[4:8] = lie[data + 4 : data + 8] = struct.pack("<I", 0xFFFF_FFF0)
    return bytes(lie)


def spoilt(value: float) -> bytes:
    samples = tone(1)
    samples[8_000] = value
    return wav(samples, "FLOAT")


BAD = {
    "empty": b"",
    "text renamed .wav": b"This is no recording, whatever its name says.\n" * 50,
    "truncated MP3": truncated_mp3(),
    "0-sample WAV": wav(tone(0)),
    "10 ms clip": wav(tone(0.01)),
    "NaN samples": spoilt(np.nan),
    "infinite samples": spoilt(np.inf),
    "60 channels": wav(tone(1, channels=60)),
    "4 GB header lie": header_lie(),
}
PATHS = ["/detect-language", "/diarize", "/v1/analyze"]


def assert_is_refused(response: httpx2.Response) -> None:
    assert 400 <= response.status_code < 500, response.text
    body = response.json()
    assert {"detail", "error_type", "timestamp", "request_id"} <= set(body)
    assert body["error_type"] == "ValidationError"
    assert body["detail"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", BAD)
def test_a_bad_upload_is_refused_at_once_and_the_next_good_one_is_answered(
    http: httpx2.Client, name: str, path: str
) -> None:
    started = time.monotonic()
    response = http.post(path, files={"file": ("clip.wav", BAD[name], "audio/wav")})
    seconds = time.monotonic() - started

    assert_is_refused(response)
    assert seconds < LIMIT_S
    good = http.post("/detect-language", files={"file": ("clip.wav", wav(tone(1)), "audio/wav")})
    assert good.status_code == 200


@pytest.mark.parametrize("path", PATHS)
def test_a_missing_field_and_an_empty_body_are_refused(http: httpx2.Client, path: str) -> None:
    assert_is_refused(http.post(path, data={"threshold": "1"}, files={"other": b""}))
    assert_is_refused(http.post(path))
    assert_is_refused(http.post(path, content=b"", headers={"content-type": "audio/wav"}))


def test_an_impossible_number_of_speakers_is_refused(http: httpx2.Client) -> None:
    response = http.post(
        "/diarize", files={"file": wav(tone(2))}, data={"min_speakers": "3", "max_speakers": "2"}
    )

    assert response.status_code == 422
    assert_is_refused(response)


@pytest.mark.parametrize("options", [{"overlap": 1}, {"chunk_duration": 0.5}, {"chunk_duration": "five"}])
def test_chunk_options_out_of_range_are_refused(http: httpx2.Client, options: dict[str, str]) -> None:
    response = http.post("/audio/analyze-audio", params=options, files={"file": wav(tone(2))})

    assert response.status_code == 422
    assert_is_refused(response)


def test_unknown_paths_and_methods_have_the_error_body(http: httpx2.Client) -> None:
    missing, wrong = http.get("/nothing-here"), http.get("/v1/analyze")

    assert (missing.status_code, wrong.status_code) == (404, 405)
    assert_is_refused(missing)
    assert_is_refused(wrong)
