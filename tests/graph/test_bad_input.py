"""Bad input over HTTP gets a 4xx with the error body within a second, and the next good request works."""

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


def oversized_header() -> bytes:
    """A WAV of 100 samples whose header claims 4 GB."""
    file = bytearray(wav(tone(0.00625)))
    data = file.index(b"data")
    file[4:8] = file[data + 4 : data + 8] = struct.pack("<I", 0xFFFF_FFF0)
    return bytes(file)


def with_sample(value: float) -> bytes:
    """A WAV of a tone with one sample replaced."""
    samples = tone(1)
    samples[8_000] = value
    return wav(samples, "FLOAT")


BAD = {
    "empty": b"",
    "text renamed .wav": b"This is not a recording, whatever its name says.\n" * 50,
    "truncated MP3": truncated_mp3(),
    "0-sample WAV": wav(tone(0)),
    "10 ms clip": wav(tone(0.01)),
    "NaN samples": with_sample(np.nan),
    "infinite samples": with_sample(np.inf),
    "60 channels": wav(tone(1, channels=60)),
    "header of 4 GB": oversized_header(),
}
PATHS = ["/detect-language", "/diarize", "/v1/analyze"]


def assert_refused(response: httpx2.Response) -> None:
    assert 400 <= response.status_code < 500, response.text
    body = response.json()
    assert {"detail", "error_type", "timestamp", "request_id"} <= set(body)
    assert body["error_type"] == "ValidationError"
    assert body["detail"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", BAD)
def test_a_bad_upload_is_refused_quickly_and_the_next_good_one_is_answered(
    http: httpx2.Client, name: str, path: str
) -> None:
    started = time.monotonic()
    response = http.post(path, files={"file": ("clip.wav", BAD[name], "audio/wav")})
    seconds = time.monotonic() - started

    assert_refused(response)
    assert seconds < LIMIT_S
    good = http.post("/detect-language", files={"file": ("clip.wav", wav(tone(1)), "audio/wav")})
    assert good.status_code == 200


@pytest.mark.parametrize("path", PATHS)
def test_a_missing_field_and_an_empty_body_are_refused(http: httpx2.Client, path: str) -> None:
    assert_refused(http.post(path, data={"threshold": "1"}, files={"other": b""}))
    assert_refused(http.post(path))
    assert_refused(http.post(path, content=b"", headers={"content-type": "audio/wav"}))


def test_an_impossible_number_of_speakers_is_refused(http: httpx2.Client) -> None:
    response = http.post(
        "/diarize", files={"file": wav(tone(2))}, data={"min_speakers": "3", "max_speakers": "2"}
    )

    assert response.status_code == 422
    assert_refused(response)


@pytest.mark.parametrize("options", [{"overlap": 1}, {"chunk_duration": 0.5}, {"chunk_duration": "five"}])
def test_chunk_options_out_of_range_are_refused(http: httpx2.Client, options: dict[str, str]) -> None:
    response = http.post("/audio/analyze-audio", params=options, files={"file": wav(tone(2))})

    assert response.status_code == 422
    assert_refused(response)


def test_unknown_paths_and_methods_get_the_error_body(http: httpx2.Client) -> None:
    missing, wrong = http.get("/nothing-here"), http.get("/v1/analyze")

    assert (missing.status_code, wrong.status_code) == (404, 405)
    assert_refused(missing)
    assert_refused(wrong)
