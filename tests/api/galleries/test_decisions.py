"""Whose voice is in a recording: verification, identification, and diarizations with names."""

import json
from typing import Any

import clips
import httpx2
import numpy as np
import pytest
from fake_analyzer import FakeAnalyzer
from tone_voices import ANNA, BERT, CLEO, CONSENT, wav_of, waveform_of

# The fake analyzer finds SPEAKER_00 alone from 0.5 to 1.75 s and SPEAKER_01 from 2.5 to 3.25 s.
BOTH = wav_of(ANNA, BERT, seconds=2.0)
ANNA_AND_CLEO = wav_of(ANNA, CLEO, seconds=2.0)


async def ask(client: httpx2.AsyncClient, path: str, recording: bytes, **options: Any) -> dict[str, Any]:
    response = await client.post(path, files={"file": ("a.wav", recording)}, data=options)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_a_claim_is_believed_or_not(staff: httpx2.AsyncClient) -> None:
    same = await ask(staff, "/v1/galleries/staff/verify", wav_of(ANNA), speaker="a-1")
    other = await ask(staff, "/v1/galleries/staff/verify", wav_of(BERT), speaker="a-1")

    assert (same["decision"], same["speaker"], same["evidence"]["speech_s"]) == ("match", "a-1", 25.0)
    assert other["decision"] == "no_match"
    assert same["quality"]["duration_s"] == same["audio_duration"] == 4.0


async def test_a_voice_is_found_or_unknown(staff: httpx2.AsyncClient) -> None:
    known = await ask(staff, "/v1/galleries/staff/identify", wav_of(BERT), top_n="1")
    stranger = await ask(staff, "/v1/galleries/staff/identify", wav_of(CLEO))

    assert (known["decision"], known["speaker"], known["display_name"]) == ("match", "b-2", "Bert")
    assert [each["external_id"] for each in known["candidates"]] == ["b-2"]
    assert (stranger["decision"], stranger["speaker"]) == ("unknown", None)


async def test_a_refusal_is_an_answer(staff: httpx2.AsyncClient, analyzer: FakeAnalyzer) -> None:
    nobody = await ask(staff, "/v1/galleries/staff/verify", wav_of(ANNA), speaker="z-9")
    analyzer.speech_s = 0.2
    short = await ask(staff, "/v1/galleries/staff/identify", wav_of(ANNA))

    assert nobody["decision"] == "not_enrolled"
    assert short["decision"] == "not_enough_speech"


async def test_a_purpose_without_consent_names_nobody(staff: httpx2.AsyncClient) -> None:
    found = await ask(staff, "/v1/galleries/staff/verify", wav_of(ANNA), speaker="a-1", purpose="marketing")
    named = await ask(staff, "/diarize", BOTH, gallery="staff", purpose="marketing")

    assert found["decision"] == "purpose_not_consented"
    assert named["speakers"] == ["unknown 1", "unknown 2"]


@pytest.mark.parametrize(
    ("path", "options"),
    [("/diarize", {"gallery": "staff"}), ("/v1/galleries/staff/identify", {"diarize": "true"})],
)
async def test_diarized_speakers_have_names(
    staff: httpx2.AsyncClient, path: str, options: dict[str, str]
) -> None:
    known = await ask(staff, path, BOTH, **options)
    half = await ask(staff, path, ANNA_AND_CLEO, **options)

    assert known["speakers"] == ["Anna", "Bert"]
    assert {turn["speaker"] for turn in known["diarization_results"]} == {"Anna", "Bert"}
    assert half["speakers"] == ["Anna", "unknown 1"]
    sure = half["identities"]["Anna"]
    assert (sure["decision"], sure["speaker"], sure["label"]) == ("match", "a-1", "SPEAKER_00")
    assert half["identities"]["unknown 1"]["decision"] == "unknown"


async def test_nobody_is_named_twice(staff: httpx2.AsyncClient) -> None:
    found = await ask(staff, "/diarize", wav_of(ANNA, ANNA, seconds=2.0), gallery="staff")

    assert len(found["speakers"]) == 2
    assert len([name for name in found["speakers"] if name.startswith("Anna")]) <= 1


async def test_two_people_of_one_name_stay_two(staff: httpx2.AsyncClient) -> None:
    await staff.patch("/v1/galleries/staff/speakers/b-2", json={"display_name": "Anna"})

    assert (await ask(staff, "/diarize", BOTH, gallery="staff"))["speakers"] == ["Anna", "Anna (b-2)"]


async def test_names_are_in_streams_and_files(staff: httpx2.AsyncClient) -> None:
    files, data = {"file": ("a.wav", BOTH)}, {"gallery": "staff", "tasks": "diarization"}
    streamed = await staff.post("/v1/analyze", files=files, data={**data, "stream": "true"})
    whole = await ask(staff, "/v1/analyze", BOTH, **data)
    rttm = await staff.post("/diarize", files=files, data={"gallery": "staff", "format": "rttm"})

    lines = [json.loads(line) for line in streamed.text.splitlines()]
    (answered,) = [line["data"] for line in lines if line["event"] == "diarization"]
    assert answered["speakers"] == whole["diarization"]["speakers"] == ["Anna", "Bert"]
    assert answered["identities"]["Bert"]["speaker"] == "b-2"
    assert " Anna " in rttm.text


async def test_channels_are_named(staff: httpx2.AsyncClient) -> None:
    stereo = np.stack([waveform_of(BERT), waveform_of(ANNA)], axis=1)
    recording = clips.soundfile_bytes(stereo, 16_000, "WAV", "PCM_16")

    found = await ask(staff, "/diarize", recording, gallery="staff", channels="separate")

    names = {each["label"]: name for name, each in found["identities"].items()}
    assert names == {"CHANNEL_0": "Bert", "CHANNEL_1": "Anna"}


async def test_without_a_gallery_nothing_changes(staff: httpx2.AsyncClient) -> None:
    found = await ask(staff, "/diarize", BOTH)

    assert found["speakers"] == ["SPEAKER_00", "SPEAKER_01"]
    assert found["identities"] is None


async def test_a_gallery_without_voices_knows_nobody(client: httpx2.AsyncClient) -> None:
    await client.put("/v1/galleries/empty")
    await client.put("/v1/galleries/empty/speakers/a-1", json={"consent": CONSENT})

    found = await ask(client, "/v1/galleries/empty/identify", wav_of(ANNA))
    claimed = await ask(client, "/v1/galleries/empty/verify", wav_of(ANNA), speaker="a-1")
    missing = await client.post("/diarize?gallery=none", content=BOTH)

    assert found["decision"] == "unknown"
    assert claimed["decision"] == "enrolling"
    assert missing.status_code == 404


async def test_a_voice_of_another_encoder_is_stale(staff: httpx2.AsyncClient, analyzer: FakeAnalyzer) -> None:
    body = {"embedding": [1.0] * 8, "model": "an/older-one", "revision": "1", "speech_s": 30.0}
    path = "/v1/galleries/staff/speakers/c-3"
    await staff.put(path, json={"consent": CONSENT})
    assert (await staff.post(f"{path}/references", json=body)).status_code == 201

    found = await ask(staff, "/v1/galleries/staff/identify", wav_of(ANNA))
    claimed = await ask(staff, "/v1/galleries/staff/verify", wav_of(ANNA), speaker="c-3")

    assert found["not_compared"] == ["c-3"]
    assert claimed["decision"] == "model_mismatch"
    assert (await staff.get(path)).json()["state"] == "stale"


async def test_a_decision_is_confirmed_and_rejected_and_counted_in_the_report(
    staff: httpx2.AsyncClient,
) -> None:
    path = "/v1/galleries/staff"
    matched = (await staff.post(f"{path}/identify", content=wav_of(ANNA))).json()
    decision = f"{path}/decisions/{matched['decision_id']}"

    confirmed = await staff.post(f"{decision}/confirm")
    again = await staff.post(f"{decision}/confirm")
    rejected = await staff.post(f"{decision}/reject")
    missing = await staff.post(f"{path}/decisions/dec_unknown/confirm")
    report = (await staff.get(f"{path}/report")).json()

    assert (confirmed.status_code, confirmed.json()["verdict"]) == (200, "confirmed")
    assert confirmed.json() == again.json()
    assert (rejected.json()["verdict"], rejected.json()["reviewed_by"]) == ("rejected", "anonymous")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    (reviewed,) = report["reviews"]
    assert (reviewed["kind"], reviewed["made"], reviewed["rejected"]) == (
        "identify", {"match": 1}, {"match": 1}
    )  # fmt: skip
    assert reviewed["wrong_matches"]["rate"] == 1.0
    assert report["reports"] == []
