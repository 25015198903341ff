"""The notes about a recording in the answer of each endpoint."""

import json
from typing import Any

import clips
import httpx2
import numpy as np
import pytest

from voxgraph.options import TASKS

WAV = clips.soundfile_bytes(clips.tone(3.5, 44_100, 2), 44_100, "WAV", "PCM_16")
LOUD = clips.soundfile_bytes(np.clip(9 * clips.tone(2.0), -1, 1), 16_000, "WAV", "PCM_16")
ONE = [
    "/detect-language", "/extract-embedding", "/embedding", "/identify?detail=true", "/diarize",
    "/audio/analyze-audio", "/v1/analyze",
]  # fmt: skip
FIELDS = {
    "duration_s", "speech_s", "clipped_ratio", "snr_db", "bandwidth_hz", "sample_rate", "channels",
    "channels_mixed", "channels_differ", "missing_s", "damaged_s", "warnings",
}  # fmt: skip


async def post(client: httpx2.AsyncClient, path: str, files: Any = None, **form: Any) -> dict[str, Any]:
    response = await client.post(path, files=files or {"file": WAV}, data=form)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


@pytest.mark.parametrize("path", ONE)
async def test_an_answer_about_a_recording_says_how_well_it_can_be_heard(
    client: httpx2.AsyncClient, path: str
) -> None:
    quality = (await post(client, path))["quality"]

    nullable = {"speech_s", "snr_db", "bandwidth_hz", "channels_mixed"}
    assert FIELDS - nullable <= set(quality) <= FIELDS
    assert (quality["duration_s"], quality["sample_rate"], quality["channels"]) == (3.5, 44_100, 2)
    assert quality["channels_mixed"] == "mean"
    assert (quality["clipped_ratio"], quality["missing_s"], quality["damaged_s"]) == (0, 0, 0)


@pytest.mark.parametrize("path", ONE)
async def test_what_makes_an_answer_uncertain_is_said_in_words(client: httpx2.AsyncClient, path: str) -> None:
    quality = (await post(client, path, {"file": LOUD}))["quality"]

    assert quality["clipped_ratio"] > 0.5
    assert f"{100 * quality['clipped_ratio']:.1f} % of the samples are clipped." in quality["warnings"]


@pytest.mark.parametrize("path", ["/compare", "/v1/speaker/compare"])
async def test_a_comparison_of_two_recordings_has_notes_about_each(
    client: httpx2.AsyncClient, path: str
) -> None:
    answer = await post(client, path, {"file1": ("1.wav", WAV), "file2": ("2.wav", LOUD)})

    assert answer["quality1"]["duration_s"] == 3.5
    assert answer["quality2"]["duration_s"] == 2.0
    assert answer["quality1"]["clipped_ratio"] < answer["quality2"]["clipped_ratio"]


async def test_a_comparison_with_a_stored_voice_has_notes_about_the_recording(
    client: httpx2.AsyncClient,
) -> None:
    stored = ("e.json", json.dumps([1.0] * 192).encode())

    answer = await post(client, "/compare_embedding", {"audio": ("1.wav", WAV), "embedding": stored})

    assert answer["quality"]["duration_s"] == 3.5


async def test_each_recording_of_a_batch_has_its_notes(client: httpx2.AsyncClient) -> None:
    files = [("file", ("1.wav", WAV)), ("file", ("2.wav", LOUD))]

    response = await client.post("/v1/batch", files=files, data={"tasks": "language"})

    lines = {line["index"]: line["answer"] for line in map(json.loads, response.text.splitlines())}
    assert [lines[index]["quality"]["duration_s"] for index in (0, 1)] == [3.5, 2.0]


@pytest.mark.parametrize("path", ["/identify", "/classify-us-accent"])
async def test_an_endpoint_that_promised_one_field_keeps_its_promise(
    client: httpx2.AsyncClient, path: str
) -> None:
    assert set(await post(client, path)) == {"us_confidence"}


async def test_a_channel_of_the_caller_is_named(client: httpx2.AsyncClient) -> None:
    assert (await post(client, "/detect-language", channel="1"))["quality"]["channels_mixed"] == "channel 1"


SPEECH = ["language", "speaker", "accent", "deepfake"]


@pytest.mark.parametrize("path", ONE)
async def test_the_notes_have_the_speech_that_was_found_and_say_if_it_is_too_little(
    client: httpx2.AsyncClient, analyzer: Any, path: str
) -> None:
    analyzer.speech_s = 1.1

    quality = (await post(client, path))["quality"]

    # The turns of the fake have 2.25 s without their overlap.
    expected = 2.25 if path == "/diarize" else 1.1
    assert quality["speech_s"] == expected
    assert any(warning.startswith(f"{expected:.1f} s of speech") for warning in quality["warnings"])


@pytest.mark.parametrize("tasks", [*SPEECH, ",".join(TASKS)])
@pytest.mark.parametrize("option", [{}, {"allow_no_speech": "false"}])
async def test_a_question_about_nobodys_speech_is_refused(
    client: httpx2.AsyncClient, analyzer: Any, tasks: str, option: dict[str, str]
) -> None:
    analyzer.speech_s = 0.0

    response = await client.post("/v1/analyze", content=WAV, params={"tasks": tasks, **option})

    assert response.status_code == 422
    body = response.json()
    assert (body["code"], body["error_type"]) == ("no_speech", "ValidationError")
    assert "allow_no_speech" in body["detail"]


@pytest.mark.parametrize("tasks", [*SPEECH, ",".join(TASKS)])
async def test_who_allows_no_speech_gets_an_answer_with_a_note(
    client: httpx2.AsyncClient, analyzer: Any, tasks: str
) -> None:
    analyzer.speech_s = 0.0

    answer = await post(client, "/v1/analyze?allow_no_speech=true", tasks=tasks)

    assert set(tasks.split(",")) <= set(answer)
    assert answer["quality"]["speech_s"] == 0.0
    assert "No speech was found." in answer["quality"]["warnings"]


async def test_who_speaks_when_may_be_asked_about_silence(client: httpx2.AsyncClient, analyzer: Any) -> None:
    analyzer.speech_s = 0.0

    assert (await client.post("/diarize", content=WAV)).status_code == 200


@pytest.mark.parametrize("path", [path for path in ONE if path not in ("/v1/analyze", "/diarize")])
async def test_the_old_endpoints_answer_about_silence_with_a_note_unless_told_otherwise(
    client: httpx2.AsyncClient, analyzer: Any, path: str
) -> None:
    analyzer.speech_s = 0.0

    answer = await post(client, path)
    refused = await client.post(path, files={"file": WAV}, data={"allow_no_speech": "false"})

    assert "No speech was found." in answer["quality"]["warnings"]
    assert (refused.status_code, refused.json()["code"]) == (422, "no_speech")


async def test_voices_are_compared_only_where_somebody_speaks(
    client: httpx2.AsyncClient, analyzer: Any
) -> None:
    analyzer.speech_s = 0.0
    pair = {"file1": ("1.wav", WAV), "file2": ("2.wav", LOUD)}

    refused = await client.post("/v1/speaker/compare", files=pair)
    allowed = await post(client, "/v1/speaker/compare", pair, allow_no_speech="true")
    old = await post(client, "/compare", pair)

    assert (refused.status_code, refused.json()["code"]) == (422, "no_speech")
    for answer in (allowed, old):
        assert [answer[name]["speech_s"] for name in ("quality1", "quality2")] == [0.0, 0.0]


async def test_a_recording_without_speech_has_its_error_in_its_line_of_a_batch(
    client: httpx2.AsyncClient, analyzer: Any
) -> None:
    analyzer.speech_s = 0.0

    response = await client.post("/v1/batch", files={"file": WAV}, data={"tasks": "language"})

    assert json.loads(response.text)["error"]["code"] == "no_speech"


async def test_a_stream_refuses_each_task_about_speech_and_ends_with_the_note(
    client: httpx2.AsyncClient, analyzer: Any
) -> None:
    analyzer.speech_s = 0.0

    response = await client.post("/v1/analyze?stream=true&tasks=language,accent", content=WAV)

    events = [json.loads(line) for line in response.text.splitlines()]
    failed = {
        event["data"]["task"]: event["data"]["code"] for event in events if event["event"] == "task_error"
    }
    assert failed == {"language": "no_speech", "accent": "no_speech"}
    assert "No speech was found." in events[-1]["data"]["quality"]["warnings"]
