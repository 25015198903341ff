"""Turns of an answer in the formats of other tools, without the recording."""

from typing import Any

import httpx2
import pytest

from voxgraph.formats import TURN_FORMATS, write
from voxgraph.results import Turn

TURNS = (Turn(0.5, 2.0, "SPEAKER_00"), Turn(1.75, 1.9, "SPEAKER_01"))
ANSWER = {
    "diarization_results": [
        {"start": turn.start_s, "end": turn.end_s, "speaker": turn.speaker} for turn in TURNS
    ],
    "audio_duration": 3.0,
    "segments_count": 2,
}


@pytest.mark.parametrize("format", TURN_FORMATS)
async def test_an_answer_is_written_as_its_recording_would_be(
    client: httpx2.AsyncClient, format: str
) -> None:
    response = await client.post(f"/v1/format?format={format}", json=ANSWER | {"uri": "a meeting.m4a"})

    assert response.status_code == 200, response.text
    assert response.text == write(TURNS, format, uri="a meeting", duration_s=3.0)


async def test_names_are_written_in_place_of_labels(client: httpx2.AsyncClient) -> None:
    response = await client.post("/v1/format?format=csv", json=ANSWER | {"names": {"SPEAKER_00": "Ann"}})

    assert "Ann" in response.text
    assert "SPEAKER_01" in response.text
    assert "SPEAKER_00" not in response.text


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("", ANSWER),
        ("?format=docx", ANSWER),
        ("?format=rttm", {}),
        ("?format=rttm", ANSWER | {"audio_duration": -1}),
        ("?format=rttm", ANSWER | {"diarization_results": [{"start": 0, "end": 1e30, "speaker": "A"}]}),
        ("?format=rttm", ANSWER | {"diarization_results": [{"start": 0, "end": "soon", "speaker": "A"}]}),
    ],
)
async def test_what_is_no_answer_is_refused(client: httpx2.AsyncClient, query: str, body: Any) -> None:
    response = await client.post(f"/v1/format{query}", json=body)

    assert (response.status_code, response.json()["code"]) == (422, "invalid_options")


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(client: httpx2.AsyncClient) -> None:
    headers = {"content-length": str(1 << 40)}

    response = await client.post("/v1/format?format=csv", content=b"{}", headers=headers)

    assert (response.status_code, response.json()["code"]) == (413, "upload_too_large")
