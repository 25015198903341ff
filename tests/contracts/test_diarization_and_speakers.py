"""The contract of the diarization and speaker recognition service."""

import io
import json
import math
import pickle
from typing import Any

import httpx2
import numpy as np
import pytest
import torch
from clips import ffmpeg_bytes
from recordings import new_wav, post, samples, wav

from voxgraph.similarity import DEFAULT_THRESHOLD

PROCESSING_INFO = {"processing_time", "audio_duration", "model_device"}
US_M3, US_F3, ENGLAND_M3 = "accent_us_m3.flac", "accent_us_f3.flac", "accent_england_m3.flac"


def check_processing_info(answer: dict[str, Any], seconds: float) -> None:
    assert set(answer) >= PROCESSING_INFO
    assert answer["processing_time"] > 0
    assert answer["audio_duration"] == pytest.approx(seconds, abs=0.05)
    assert answer["model_device"] == "cpu"


def seconds_of(*names: str) -> float:
    return sum(len(samples(name)) for name in names) / 16_000


def test_health_reports_both_models(http: httpx2.Client) -> None:
    answer = http.get("/health").json()

    assert answer["diarization_model_loaded"] is True
    assert answer["verification_model_loaded"] is True


def test_diarize(http: httpx2.Client, conversation: bytes) -> None:
    answer = post(http, "/diarize", files={"file": ("talk.wav", conversation, "audio/wav")})

    check_processing_info(answer, 30.0)
    assert answer["segments_count"] == len(answer["diarization_results"])
    for turn in answer["diarization_results"]:
        assert 0 <= turn["start"] < turn["end"] <= 30.0
        assert turn["speaker"].startswith("SPEAKER_")


def test_num_speakers_overrides_the_bounds(http: httpx2.Client, conversation: bytes) -> None:
    data = {"num_speakers": "1", "min_speakers": "2", "max_speakers": "3"}

    answer = post(http, "/diarize", files={"file": conversation}, data=data)

    assert len({turn["speaker"] for turn in answer["diarization_results"]}) <= 1


def test_short_turns_are_left_out_on_request(http: httpx2.Client, conversation: bytes) -> None:
    answer = post(http, "/diarize", files={"file": conversation}, data={"min_duration": "1.0"})

    assert all(turn["end"] - turn["start"] >= 0.999 for turn in answer["diarization_results"])


@pytest.mark.parametrize(
    "data",
    [
        {"min_speakers": "4", "max_speakers": "2"},
        {"num_speakers": "0"},
        {"num_speakers": "-1"},
        {"num_speakers": "two"},
        {"min_duration": "-1"},
    ],
)
def test_impossible_options_are_422(http: httpx2.Client, conversation: bytes, data: dict[str, str]) -> None:
    post(http, "/diarize", 422, files={"file": conversation}, data=data)


def test_embedding(http: httpx2.Client) -> None:
    unit = post(http, "/embedding", files={"file": wav(US_M3)})
    raw = post(http, "/embedding", files={"file": wav(US_M3)}, data={"normalize": "false"})

    check_processing_info(unit, seconds_of(US_M3))
    assert (unit["normalized"], raw["normalized"]) == (True, False)
    assert len(unit["embedding"]) == len(raw["embedding"]) == 192
    assert math.hypot(*unit["embedding"]) == pytest.approx(1, abs=1e-5)


def test_compare(http: httpx2.Client) -> None:
    same = post(http, "/compare", files={"file1": wav(US_M3), "file2": wav(ENGLAND_M3)})
    other = post(http, "/compare", files={"file1": wav(US_M3), "file2": wav(US_F3)})

    check_processing_info(same, seconds_of(US_M3, ENGLAND_M3))
    assert same["threshold"] == DEFAULT_THRESHOLD == 0.25
    assert same["same_speaker"] is True
    assert same["similarity_score"] > other["similarity_score"]


def test_a_recording_has_similarity_one_to_itself(http: httpx2.Client) -> None:
    answer = post(http, "/compare", files={"file1": wav(US_M3), "file2": wav(US_M3)})

    assert answer["similarity_score"] == pytest.approx(1, abs=1e-5)


def test_two_recordings_in_two_languages_are_compared_in_one_space(http: httpx2.Client) -> None:
    answer = post(http, "/compare", files={"file1": wav("ja_m3.flac"), "file2": wav("en_m3.flac")})

    assert -1 <= answer["similarity_score"] <= 1


def test_the_threshold_decides_same_speaker(http: httpx2.Client) -> None:
    files = {"file1": wav(US_M3), "file2": wav(ENGLAND_M3)}
    score = post(http, "/compare", files=files)["similarity_score"]

    assert not post(http, "/compare", files=files, data={"threshold": str(score + 1e-3)})["same_speaker"]
    assert post(http, "/compare", files=files, data={"threshold": str(score - 1e-3)})["same_speaker"]
    post(http, "/compare", 422, files=files, data={"threshold": "1.5"})
    post(http, "/compare", 422, files={"file1": wav(US_M3)})


@pytest.mark.parametrize("kind", ["pickle", "pickled list", "pickled tensor", "npy", "npz", "json"])
def test_compare_embedding_accepts_every_file_format(http: httpx2.Client, kind: str) -> None:
    vector = np.array(post(http, "/embedding", files={"file": wav(US_M3)})["embedding"], np.float32)

    files = {"audio": wav(US_M3), "embedding": ("e", embedding_file(vector, kind))}
    answer = post(http, "/compare_embedding", files=files)

    check_processing_info(answer, seconds_of(US_M3))
    assert answer["similarity_score"] == pytest.approx(1, abs=1e-4)
    assert answer["same_speaker"] is True


def embedding_file(vector: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "npy":
        np.save(buffer, vector)
    elif kind == "npz":
        np.savez(buffer, embedding=vector)
    elif kind == "json":
        buffer.write(json.dumps(vector.tolist()).encode())
    else:
        value: Any = vector.tolist() if kind == "pickled list" else vector
        pickle.dump(torch.tensor(vector) if kind == "pickled tensor" else value, buffer)
    return buffer.getvalue()


class Exploit:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return eval, ("__import__('os').system('touch /tmp/exploited')",)


@pytest.mark.parametrize(
    "data", [pickle.dumps(Exploit()), pickle.dumps([Exploit()] * 192), b"", b"no embedding", b"\x80\x04."]
)
def test_an_invalid_embedding_file_is_400(http: httpx2.Client, data: bytes) -> None:
    post(http, "/compare_embedding", 400, files={"audio": wav(US_M3), "embedding": ("e.pkl", data)})


def test_an_embedding_of_another_space_is_422(http: httpx2.Client) -> None:
    answer = post(http, "/extract-embedding", files={"file": wav(US_M3)})
    stale = json.dumps({**{key: answer[key] for key in ("embedding", "model")}, "revision": "older"})
    unknown = json.dumps({"embedding": answer["embedding"], "model": "some/other-encoder"})

    for data in (stale, unknown):
        files = {"audio": wav(US_M3), "embedding": ("e.json", data.encode())}
        assert post(http, "/compare_embedding", 422, files=files)["code"] == "space_mismatch"


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
@pytest.mark.parametrize("kind", ["WAV", "MP3", "FLAC", "M4A", "OGG"])
def test_every_audio_format_is_accepted_at_any_sample_rate(http: httpx2.Client, kind: str, rate: int) -> None:
    tone = (0.3 * np.sin(2 * np.pi * 220 * np.arange(2 * rate) / rate)).astype(np.float32)
    if kind == "M4A":
        audio = ffmpeg_bytes(tone[:, None], rate, "ipod", "aac")
    else:
        import soundfile

        buffer = io.BytesIO()
        soundfile.write(buffer, tone, rate, format=kind)
        audio = buffer.getvalue()

    answer = post(http, "/embedding", files={"file": (f"a.{kind.lower()}", audio)})

    assert answer["audio_duration"] == pytest.approx(2.0, abs=0.2)  # AAC pads


def test_each_file_of_a_batch_is_answered_in_its_line(http: httpx2.Client) -> None:
    good = [("files", (f"{number}.wav", new_wav(number), "audio/wav")) for number in range(5)]
    bad = [("files", ("notes.wav", b"no recording", "audio/wav")), ("files", ("empty.wav", b"", "audio/wav"))]

    asked = {"tasks": "language,accent", "allow_no_speech": "true"}

    response = http.post("/v1/batch", files=[*good, *bad], data=asked)

    assert response.headers["content-type"].startswith("application/x-ndjson")
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert sorted(line["index"] for line in lines) == list(range(7))
    by_name = {line["filename"]: line for line in lines}
    for number in range(5):
        alone = post(http, "/v1/analyze", files={"file": new_wav(number)}, data=asked)
        answer = by_name[f"{number}.wav"]["answer"]
        assert answer["language"]["language"] == alone["language"]["language"]
        # Another ingress replica may compute the answer anew, in no batch: equal but for rounding.
        assert answer["accent"]["accent"] == alone["accent"]["accent"]
        for field, rounding in (("us_confidence", 0.01), ("confidence", 1e-5), ("probabilities", 1e-5)):
            assert answer["accent"][field] == pytest.approx(alone["accent"][field], abs=rounding)
    assert by_name["notes.wav"]["error"]["error_type"] == "ValidationError"
    assert by_name["empty.wav"]["error"]["code"] == "empty_audio"


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [("GET", "/no/such/page", 404), ("DELETE", "/diarize", 405), ("POST", "/diarize", 422)],
)
def test_every_error_has_the_same_body(http: httpx2.Client, method: str, path: str, expected: int) -> None:
    response = http.request(method, path, files={"other": b"1"} if method == "POST" else None)

    assert response.status_code == expected
    assert set(response.json()) >= {"detail", "error_type", "timestamp"}
    assert response.json()["error_type"] == "ValidationError"
