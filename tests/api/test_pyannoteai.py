"""The endpoints that pyannoteAI's SDK asks, over ASGI."""

import asyncio
import time
from dataclasses import asdict
from typing import Any

import clips
import httpx2
import pytest

from config.settings import AudioLimits, GraphSettings, GraphStateTunables
from deployments.api.app import create_app
from deployments.api.compat import pyannoteai_jobs
from voxgraph.errors import InferenceError, Overloaded
from voxgraph.keys import make_key

WAV = clips.soundfile_bytes(clips.tone(3.5, 16_000), 16_000, "WAV", "PCM_16")
KEY = "media://meetings/a.wav"


async def upload(client: httpx2.AsyncClient, data: bytes = WAV, key: str = KEY) -> httpx2.Response:
    answer = await client.post("/v1/media/input", json={"url": key})
    assert answer.status_code == 201, answer.text
    return await client.put(answer.json()["url"], content=data)


async def ended(client: httpx2.AsyncClient, job_id: str) -> dict[str, Any]:
    async with asyncio.timeout(5):
        while True:
            job = (await client.get(f"/v1/jobs/{job_id}")).json()
            if job["status"] in ("succeeded", "failed"):
                return dict(job)
            await asyncio.sleep(0.01)


async def start(client: httpx2.AsyncClient, **asked: Any) -> str:
    answer = await client.post("/v1/diarize", json={"url": KEY, **asked})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["jobId"])


async def test_an_uploaded_recording_is_diarized(client: httpx2.AsyncClient, analyzer: Any) -> None:
    assert (await upload(client)).status_code == 200
    job = await ended(client, await start(client, numSpeakers=2, model="precision-2"))

    assert job["output"]["diarization"] == [
        {"speaker": "SPEAKER_00", "start": 0.5, "end": 2.0},
        {"speaker": "SPEAKER_01", "start": 1.75, "end": 1.9},
        {"speaker": "SPEAKER_01", "start": 2.5, "end": 3.25},
    ]
    assert "exclusiveDiarization" not in job["output"]
    assert "pyannote/speaker-diarization-community-1" in job["output"]["warning"]
    assert (analyzer.speakers.num_speakers, len(analyzer.waveform)) == (2, 3.5 * 16_000)


async def test_every_answer_says_how_long_it_is_kept(client: httpx2.AsyncClient) -> None:
    answers = [await client.post("/v1/media/input", json={"url": KEY})]
    await upload(client)
    answers.append(await client.post("/v1/diarize", json={"url": KEY}))
    answers.append(await client.get(f"/v1/jobs/{answers[-1].json()['jobId']}"))

    assert all("kept in memory for an hour" in answer.json()["warning"] for answer in answers)


async def test_turns_have_their_confidence_in_percent_on_request(client: httpx2.AsyncClient) -> None:
    await upload(client)
    job = await ended(client, await start(client, turnLevelConfidence=True))

    assert [turn["confidence"] for turn in job["output"]["diarization"]] == [
        {"SPEAKER_00": 91}, {"SPEAKER_01": 50}, {},
    ]  # fmt: skip


async def test_exclusive_turns_are_added_on_request(client: httpx2.AsyncClient) -> None:
    await upload(client)
    job = await ended(client, await start(client, exclusive=True))

    assert [turn["start"] for turn in job["output"]["exclusiveDiarization"]] == [0.5, 2.5]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"url": "https://example.com/a.wav"}, "fetches nothing from other hosts"),
        ({"url": "media://"}, "pattern"),
        ({"url": "media://../é"}, "pattern"),
        ({"url": None}, "string"),
        ({"webhook": "https://example.com/hook"}, "nor calls webhooks"),
        ({"transcription": True}, "neither transcribes"),
        ({"confidence": True}, "turnLevelConfidence"),
        ({"numSpeakers": 0}, "numSpeakers"),
        ({"minSpeakers": 3, "maxSpeakers": 2}, "min_speakers"),
        ({"voiceprints": []}, "voiceprints"),
    ],
)
async def test_what_the_service_does_not_do_is_refused_in_words(
    client: httpx2.AsyncClient, asked: dict[str, Any], words: str
) -> None:
    await upload(client)
    answer = await client.post("/v1/diarize", json={"url": KEY} | asked)

    assert answer.status_code == 422
    assert words in answer.json()["detail"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"url": 1}', b'{"url": "http://a/b"}'])
async def test_bodies_that_ask_for_no_upload_are_refused(client: httpx2.AsyncClient, body: bytes) -> None:
    assert (await client.post("/v1/media/input", content=body)).status_code == 422


async def test_a_body_that_is_too_long_is_refused(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/v1/diarize", content=b" " * 70_000)

    assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")


@pytest.mark.parametrize("job_id", ["unknown", "3c8a89a5-dcc6-4edb-a75d-ffd64739674d"])
async def test_an_unknown_job_is_404(client: httpx2.AsyncClient, job_id: str) -> None:
    answer = await client.get(f"/v1/jobs/{job_id}")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_job_that_has_expired_is_404(
    client: httpx2.AsyncClient, analyzer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await upload(client)
    job_id = await start(client)
    await ended(client, job_id)
    kept_s = GraphStateTunables().job_keep_s
    monkeypatch.setattr(analyzer.state.graph.jobs, "_clock", lambda: time.monotonic() + kept_s + 1)

    assert (await client.get(f"/v1/jobs/{job_id}")).status_code == 404
    assert (await client.post("/v1/diarize", json={"url": KEY})).status_code == 404


async def test_a_recording_that_was_not_uploaded_is_404(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/v1/diarize", json={"url": "media://nothing"})

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_an_address_that_nobody_gave_is_404(client: httpx2.AsyncClient) -> None:
    assert (await client.put("/v1/media/upload/guessed", content=WAV)).status_code == 404


@pytest.mark.parametrize("is_declared", [True, False])
async def test_an_upload_over_the_limit_is_refused_and_forgotten(client_of: Any, is_declared: bool) -> None:
    client = client_of(limits=AudioLimits(max_upload_bytes=1_000_000))

    async def body() -> Any:
        for _ in range(3):
            yield bytes(400_000)

    address = (await client.post("/v1/media/input", json={"url": KEY})).json()["url"]
    answer = await client.put(address, content=bytes(1_000_001) if is_declared else body())

    assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")
    assert (await client.post("/v1/diarize", json={"url": KEY})).status_code == 404


async def test_recordings_that_fill_the_memory_are_503(client: httpx2.AsyncClient, analyzer: Any) -> None:
    analyzer.state.graph.jobs.reconfigure(GraphStateTunables(max_media_bytes=1024))
    answer = await upload(client)

    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
    assert answer.headers["retry-after"]


async def test_an_empty_upload_is_refused(client: httpx2.AsyncClient) -> None:
    assert (await upload(client, b"")).json()["code"] == "empty_audio"


async def test_an_upload_comes_in_pieces(client: httpx2.AsyncClient, analyzer: Any) -> None:
    long = clips.soundfile_bytes(clips.tone(60, 16_000), 16_000, "WAV", "PCM_16")
    assert len(long) > 3 * 512 * 1024
    await upload(client, long)
    await ended(client, await start(client))

    assert len(analyzer.waveform) == 60 * 16_000


@pytest.mark.parametrize(
    ("data", "error", "why"),
    [
        (b"no recording", None, "not a recording"),
        (WAV, InferenceError("no luck"), "no luck"),
        (WAV, RuntimeError("swordfish"), "its log has the cause"),
    ],
)
async def test_a_job_that_fails_says_why(
    client: httpx2.AsyncClient, analyzer: Any, data: bytes, error: Exception | None, why: str
) -> None:
    await upload(client, data)
    analyzer.error = error
    job = await ended(client, await start(client))

    assert job["status"] == "failed"
    assert set(job["output"]) == {"error"}
    assert why in job["output"]["error"] or error is None


async def test_a_job_waits_for_a_full_queue(
    client: httpx2.AsyncClient, analyzer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pyannoteai_jobs, "RETRY_S", 0.01)
    await upload(client)
    analyzer.error = Overloaded("full")
    job_id = await start(client)
    await asyncio.sleep(0.05)
    assert (await client.get(f"/v1/jobs/{job_id}")).json()["status"] == "running"
    analyzer.error = None

    assert (await ended(client, job_id))["status"] == "succeeded"


async def test_only_a_few_jobs_run_at_a_time(client: httpx2.AsyncClient, analyzer: Any) -> None:
    gate, running, most = asyncio.Event(), 0, 0
    diarize = analyzer.diarize

    async def waits(*asked: Any) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1
        return await diarize(*asked)

    analyzer.diarize = waits
    await upload(client)
    jobs = [await start(client) for _ in range(5)]
    await asyncio.sleep(0.1)
    statuses = [(await client.get(f"/v1/jobs/{job}")).json()["status"] for job in jobs]
    gate.set()

    assert sorted(statuses) == ["created"] * 3 + ["running"] * 2
    assert {(await ended(client, job))["status"] for job in jobs} == {"succeeded"}
    assert most == 2


async def test_one_client_leaves_addresses_memory_and_turns_to_others(analyzer: Any) -> None:
    tunables = GraphStateTunables(max_jobs=6, max_media_bytes=4 * len(WAV))
    analyzer.state.graph.jobs.reconfigure(tunables)
    analyzer.max_running_jobs = 1
    gate, asked, diarize = asyncio.Event(), list[int](), analyzer.diarize

    async def waits(waveform: Any, speakers: Any) -> Any:
        asked.append(speakers.num_speakers)
        await gate.wait()
        return await diarize(waveform, speakers)

    analyzer.diarize = waits
    app = create_app(analyzer, GraphSettings())
    clients = [
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app, client=(address, 1)), base_url="http://voxgraph"
        )
        for address in ("203.0.113.7", "203.0.113.8")
    ]
    async with clients[0] as one, clients[1] as another:
        assert (await upload(one)).status_code == 200
        full = await upload(one, WAV + bytes(len(WAV)), "media://b")
        *_, beyond = [await one.post("/v1/media/input", json={"url": f"media://{n}"}) for n in range(2)]
        assert (await upload(another)).status_code == 200
        jobs = [await start(one, numSpeakers=number) for number in (1, 2, 3)]
        fourth = await one.post("/v1/diarize", json={"url": KEY})
        jobs.append(await start(another, numSpeakers=4))
        await asyncio.sleep(0.1)
        gate.set()
        ends = [await ended(another, job) for job in jobs]

    for refused in (full, beyond, fourth):
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert int(refused.headers["retry-after"]) >= 1
    assert [end["status"] for end in ends] == ["succeeded"] * 4
    assert asked == [1, 2, 4, 3]


async def test_the_address_has_the_prefix_and_scheme_of_the_proxy(client_of: Any) -> None:
    client = client_of(root_path="/voice")
    headers = {"x-forwarded-proto": "https", "host": "voice.example.com"}
    answer = await client.post("/voice/v1/media/input", json={"url": KEY}, headers=headers)

    assert answer.json()["url"].startswith("https://voice.example.com/voice/v1/media/upload/")


async def test_the_key_is_tried_before_anything_else(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/v1/test", headers={"authorization": "Bearer x"})).json()["status"] == "OK"


async def test_a_recording_is_heard_by_its_tenant_alone(client_of: Any) -> None:
    made = [make_key(name, tenant=tenant) for name, tenant in (("a", "clinic"), ("b", "clinic"), ("c", None))]
    client = client_of(api_keys=[asdict(key) for _, key in made])
    first, colleague, stranger = ({"x-api-key": secret} for secret, _ in made)
    client.headers = first
    assert (await upload(client)).status_code == 200

    asked = [
        await client.post("/v1/diarize", json={"url": KEY}, headers=who) for who in (colleague, stranger)
    ]

    assert [answer.status_code for answer in asked] == [200, 404]
    assert "clinic" not in asked[1].text
