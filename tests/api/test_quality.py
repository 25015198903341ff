"""The notes about a recording in the answer of each endpoint."""

import json
from typing import Any

import clips
import httpx2
import numpy as np
import pytest

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
