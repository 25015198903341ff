"""Answers in other formats than JSON, chosen by the option ``format`` or the header ``Accept``."""

import csv
import io
import json
from typing import Any

import clips
import httpx2
import pytest
from fake_analyzer import TURNS

from voxgraph.errors import InvalidOptions
from voxgraph.formats import CHUNK_FORMATS, FORMATS, TURN_FORMATS, write

WAV = clips.soundfile_bytes(clips.tone(3.5, 16_000), 16_000, "WAV", "PCM_16")
NOTE = "pyannote/speaker-diarization-community-1, revision abc"
TIMED = ["/diarize", "/v1/analyze"]


async def post(client: httpx2.AsyncClient, path: str = "/diarize", **options: Any) -> httpx2.Response:
    return await client.post(path, files={"file": ("Sitzung 3.wav", WAV, "audio/wav")}, **options)


@pytest.mark.parametrize("path", TIMED)
@pytest.mark.parametrize("name", TURN_FORMATS)
async def test_the_file_holds_the_turns(client: httpx2.AsyncClient, path: str, name: str) -> None:
    response = await post(client, path, params={"format": name})

    assert response.status_code == 200, response.text
    assert response.text == write(TURNS, name, uri="Sitzung 3", duration_s=3.5, note=NOTE)
    assert response.headers["content-type"] == FORMATS[name].media_type
    assert response.headers["vary"] == "Accept"
    saved = f"Sitzung 3{FORMATS[name].suffix}"
    assert response.headers["content-disposition"] == (
        f"attachment; filename=\"{saved}\"; filename*=UTF-8''{saved.replace(' ', '%20')}"
    )


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("text/vtt", "vtt"), ("TEXT/VTT", "vtt"), ("application/x-subrip", "srt"),
        ("text/csv; header=present", "csv"),
        ("text/tab-separated-values", "tsv"), ("text/plain", "rttm"), ("text/*", "rttm"),
        ("application/json", "json"), ("application/*", "json"), ("*/*", "json"), ("", "json"),
        ("application/json, text/plain, */*", "json"),  # what axios sends
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "json"),  # what browsers send
        ("text/vtt, */*", "vtt"), ("text/vtt;q=0.5, */*", "json"), ("text/vtt; q=0.5, text/csv;q=0.7", "csv"),
        ("*/*, application/json;q=0", "rttm"), ("text/vtt;q=0, */*", "json"),
        ("text/*;q=0.3, text/csv;q=0.2, application/json;q=0.1", "rttm"),
        ("nonsense", "json"), ("text/vtt;q=high", "vtt"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", TIMED)
async def test_the_header_chooses_by_quality(
    client: httpx2.AsyncClient, path: str, accept: str, chosen: str
) -> None:
    response = await post(client, path, headers={"accept": accept})

    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == FORMATS[chosen].media_type
    assert response.headers["vary"] == "Accept"


async def test_a_client_without_the_header_gets_json(client: httpx2.AsyncClient) -> None:
    del client.headers["accept"]

    assert (await post(client)).json()["segments_count"] == 3


@pytest.mark.parametrize("where", ["params", "data"])
async def test_the_option_wins_over_the_header(client: httpx2.AsyncClient, where: str) -> None:
    headers = {"accept": "text/vtt"}
    as_json = await post(client, headers=headers, **{where: {"format": "json"}})
    as_rttm = await post(client, headers=headers, **{where: {"format": "rttm"}})

    assert as_json.json()["segments_count"] == 3
    assert as_rttm.text.startswith("SPEAKER Sitzung_3 1 0.500 1.500 <NA> <NA> SPEAKER_00")


@pytest.mark.parametrize("path", [*TIMED, "/audio/analyze-audio"])
@pytest.mark.parametrize(
    "wanted", [{"params": {"format": "docx"}}, {"headers": {"accept": "image/png, text/html"}}]
)
async def test_a_format_that_there_is_not_is_refused_with_the_list(
    client: httpx2.AsyncClient, path: str, wanted: dict[str, Any]
) -> None:
    response = await post(client, path, **wanted)

    assert response.status_code == 406
    assert response.json()["code"] == "not_acceptable"
    listed = TURN_FORMATS if path in TIMED else CHUNK_FORMATS
    assert [name for name in ("json", *listed) if f"{name} (" not in response.json()["detail"]] == []


@pytest.mark.parametrize("path", ["/audio/analyze-audio", "/v1/analyze?tasks=deepfake,language"])
async def test_the_verdict_labels_the_chunks(client: httpx2.AsyncClient, analyzer: Any, path: str) -> None:
    analyzer.scores = (0.9, 0.3, 0.05)
    response = await post(client, path, headers={"accept": "text/csv"})

    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert [(row["start"], row["verdict"]) for row in rows] == [
        ("0.000", "ai_generated"), ("2.500", "inconclusive"), ("5.000", "no_sign_found"),
    ]  # fmt: skip


async def test_turns_need_the_diarization(client: httpx2.AsyncClient) -> None:
    response = await post(client, "/v1/analyze", params={"tasks": "language,deepfake", "format": "rttm"})

    assert response.status_code == 406
    assert "json (application/json), csv (text/csv)" in response.json()["detail"]


async def test_turns_without_overlap_and_their_confidence_are_written(client: httpx2.AsyncClient) -> None:
    response = await post(client, params={"format": "tsv", "exclusive": "true"})

    assert response.text.splitlines()[1:] == [
        "0.500\t2.000\tSPEAKER_00\t0.9120", "2.500\t3.250\tSPEAKER_01\t",
    ]  # fmt: skip


async def test_a_file_of_turns_runs_only_the_diarization(client: httpx2.AsyncClient, analyzer: Any) -> None:
    await post(client, "/v1/analyze", params={"format": "srt", "num_speakers": 2})

    assert analyzer.tasks is None
    assert analyzer.speakers.num_speakers == 2


@pytest.mark.parametrize("path", TIMED)
async def test_names_stand_in_place_of_labels_in_every_format(client: httpx2.AsyncClient, path: str) -> None:
    names = json.dumps({"SPEAKER_00": "Ann & Bö", "SPEAKER_01": " \n", "SPEAKER_07": "nobody"})
    as_json = (await post(client, path, data={"names": names})).json()
    as_vtt = await post(client, path, params={"names": names, "format": "vtt"})

    answer = as_json.get("diarization", as_json)
    assert answer["speakers"] == ["Ann & Bö", "SPEAKER_01"]
    assert [turn["speaker"] for turn in answer["diarization_results"]] == [
        "Ann & Bö", "SPEAKER_01", "SPEAKER_01",
    ]  # fmt: skip
    assert "<v Ann &amp; Bö>" in as_vtt.text


@pytest.mark.parametrize(
    "names", ["Ann", "[1]", '{"SPEAKER_00": 1}', '{"SPEAKER_00": "' + "x" * 257 + '"}', "[" * 20_000]
)
async def test_names_that_are_none_are_refused(client: httpx2.AsyncClient, names: str) -> None:
    response = await post(client, data={"names": names})

    assert response.status_code == 422
    assert response.json()["code"] == InvalidOptions.code
    assert response.json()["detail"].startswith("names")


async def test_a_hostile_name_reaches_no_header(client: httpx2.AsyncClient) -> None:
    name = '"; x=\r\nSet-Cookie: a=1;\u202e\U0001f600.wav'
    response = await client.post("/diarize?format=csv", files={"file": (name, WAV, "audio/wav")})

    assert response.status_code == 200
    assert "set-cookie" not in response.headers
    assert response.headers["content-disposition"].isascii()
    assert response.headers["content-disposition"].endswith(".csv")


async def test_a_body_without_a_file_name_is_called_recording(client: httpx2.AsyncClient) -> None:
    response = await client.post("/diarize?format=rttm", content=WAV)

    assert response.text.splitlines()[0].split()[1] == "recording"
    assert 'filename="recording.rttm"' in response.headers["content-disposition"]


async def test_the_document_lists_the_media_types(client: httpx2.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    found = {
        path: set(paths[path]["post"]["responses"]["200"]["content"])
        for path in (*TIMED, "/audio/analyze-audio")
    }
    promised = {FORMATS[name].media_type.partition(";")[0] for name in FORMATS}

    assert found["/diarize"] >= promised
    assert found["/v1/analyze"] >= promised
    assert found["/audio/analyze-audio"] == {
        "application/json", "text/csv", "text/tab-separated-values", "text/plain",
    }  # fmt: skip
