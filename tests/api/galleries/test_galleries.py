"""Galleries over HTTP: whose they are, what is refused, what is erased."""

import logging
from typing import Any

import httpx2
import pytest
from fake_analyzer import FakeAnalyzer
from tone_voices import ANNA, BERT, CLEO, CONSENT, wav_of

from voxgraph.keys import make_key

OPERATIONS = [
    ("GET", "/v1/galleries"), ("PUT", "/v1/galleries/staff"), ("GET", "/v1/galleries/staff/speakers"),
    ("POST", "/v1/galleries/staff/identify"), ("GET", "/v1/ledger"), ("POST", "/diarize?gallery=staff"),
    ("POST", "/v1/analyze?gallery=staff"), ("POST", "/v1/batch?gallery=staff"),
]  # fmt: skip


def assert_is(response: httpx2.Response, status: int, code: str) -> None:
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    assert response.json()["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_a_graph_without_state_says_so(
    client: httpx2.AsyncClient, analyzer: FakeAnalyzer, method: str, path: str
) -> None:
    analyzer.gallery = None
    body: dict[str, Any] = {"files": {"file": wav_of(ANNA)}} if method == "POST" else {}

    refused = await client.request(method, path, **body)

    assert_is(refused, 503, "gallery_unavailable")
    assert "args.state" in refused.json()["detail"]
    assert "retry-after" not in refused.headers


async def test_the_health_says_whether_voices_are_kept(
    client: httpx2.AsyncClient, analyzer: FakeAnalyzer
) -> None:
    kept = (await client.get("/health")).json()["galleries"]
    analyzer.gallery = None
    stateless = (await client.get("/health")).json()["galleries"]

    assert (kept, stateless) == (True, False)


async def test_a_gallery_is_created_changed_listed_and_erased(client: httpx2.AsyncClient) -> None:
    created = await client.put("/v1/galleries/staff", json={"operating_point": "strict", "ttl_days": 30})
    changed = await client.put("/v1/galleries/staff", json={"ttl_days": 7})
    listed = (await client.get("/v1/galleries")).json()["galleries"]
    erased = await client.delete("/v1/galleries/staff")

    assert (created.status_code, changed.status_code, erased.status_code) == (201, 200, 200)
    assert created.json()["policy"]["operating_point"] == "strict"
    policy = changed.json()["policy"]
    assert (policy["operating_point"], policy["ttl_days"]) == ("balanced", 7)
    assert [each["name"] for each in listed] == ["staff"]
    assert erased.json()["kind"] == "gallery"
    assert_is(await client.get("/v1/galleries/staff"), 404, "not_found")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/galleries/staff", {"karaoke": True}),
        ("/v1/galleries/staff", {"ttl_days": -1}),
        ("/v1/galleries/staff", {"spoof_gate": "maybe"}),
        ("/v1/galleries/st%20aff", {}),
        ("/v1/galleries/staff/speakers/c", {"consent": {"purposes": [], "given_at": "2026-11-28T10:00:00Z"}}),
        ("/v1/galleries/staff/speakers/c", {"consent": {"purposes": ["x"], "given_at": "2026-11-28"}}),
    ],
)  # fmt: skip
async def test_a_wrong_body_is_refused(staff: httpx2.AsyncClient, path: str, body: dict[str, Any]) -> None:
    assert_is(await staff.put(path, json=body), 422, "invalid_options")


async def test_there_is_nobody_without_consent(staff: httpx2.AsyncClient) -> None:
    path = "/v1/galleries/staff/speakers/c-3"

    assert_is(await staff.put(path, json={"display_name": "Cleo"}), 409, "consent_missing")
    assert_is(await staff.post(f"{path}/references", content=wav_of(CLEO)), 404, "not_found")


async def test_an_enrolment_tells_how_much_speech_is_missing(
    client: httpx2.AsyncClient, analyzer: FakeAnalyzer
) -> None:
    analyzer.speech_s = 8.0
    await client.put("/v1/galleries/staff")
    await client.put("/v1/galleries/staff/speakers/a-1", json={"consent": CONSENT})

    enrolled = await client.post("/v1/galleries/staff/speakers/a-1/references", content=wav_of(ANNA))

    speaker = enrolled.json()["speaker"]
    assert (speaker["state"], speaker["speech_s"], speaker["remaining_speech_s"]) == ("enrolling", 8.0, 12.0)
    reference = enrolled.json()["reference"]
    assert reference["evidence"]["speakers_heard"] == 1
    assert len(reference["spaces"]) == 2
    assert reference["created_by"] == "anonymous"


async def test_a_recording_that_does_not_pass_the_gates_is_refused_with_reasons(
    staff: httpx2.AsyncClient, analyzer: FakeAnalyzer
) -> None:
    analyzer.speech_s = 0.4

    other = wav_of(ANNA, seconds=3.0)
    refused = await staff.post("/v1/galleries/staff/speakers/a-1/references", content=other)

    assert_is(refused, 422, "enrolment_refused")
    assert "not_enough_speech" in {reason["code"] for reason in refused.json()["reasons"]}
    listed = await staff.get("/v1/galleries/staff/speakers/a-1/references")
    assert len(listed.json()["references"]) == 1


async def test_the_same_recording_again_is_the_reference_that_it_is_and_is_not_heard_again(
    staff: httpx2.AsyncClient, analyzer: FakeAnalyzer
) -> None:
    path = "/v1/galleries/staff/speakers/a-1/references"
    (before,) = (await staff.get(path)).json()["references"]
    analyzer.error = AssertionError("The recording was heard again.")

    again = await staff.post(path, content=wav_of(ANNA))

    assert (again.status_code, again.json()["repeated"]) == (200, True), again.text
    assert again.json()["reference"] == before
    assert again.json()["speaker"]["references"] == 1


async def test_the_same_recording_of_a_newer_encoder_completes_its_reference(
    staff: httpx2.AsyncClient, analyzer: FakeAnalyzer
) -> None:
    path = "/v1/galleries/staff/speakers/a-1/references"
    (before,) = (await staff.get(path)).json()["references"]
    analyzer.revision = "newer"

    again = await staff.post(path, content=wav_of(ANNA))
    (after,) = (await staff.get(path)).json()["references"]

    assert (again.status_code, after["id"]) == (200, before["id"])
    assert {each["revision"] for each in after["spaces"]} == {"abc", "newer"}
    assert len(after["spaces"]) == 2 * len(before["spaces"])
    assert again.json()["speaker"]["speech_s"] == 25.0


async def test_another_voice_or_speaker_or_embedding_is_another_reference(staff: httpx2.AsyncClient) -> None:
    embedded = (await staff.post("/extract-embedding?encoder=voxceleb", content=wav_of(ANNA))).json()
    body = {name: embedded[name] for name in ("embedding", "model", "revision")} | {"speech_s": 30.0}
    path = "/v1/galleries/staff/speakers/{}/references"
    await staff.put("/v1/galleries/staff/speakers/c-3", json={"consent": CONSENT})

    statuses = [
        (await staff.post(path.format(speaker), **sent)).status_code
        for speaker, sent in (
            ("a-1", {"content": wav_of(ANNA, seconds=3.0)}),
            ("c-3", {"content": wav_of(ANNA)}),
            ("a-1", {"json": body}),
            ("a-1", {"json": body}),
            ("a-1", {"content": wav_of(ANNA, seconds=3.0)}),
        )
    ]

    assert statuses == [201, 201, 201, 200, 200]


async def test_the_voice_of_one_of_several_is_enrolled(staff: httpx2.AsyncClient) -> None:
    # The fake analyzer finds SPEAKER_01 from 2.5 to 3.25 s.
    await staff.put("/v1/galleries/staff", json={"probe_speech_s": 0.5, "reference_speech_s": 0.5})
    path = "/v1/galleries/staff/speakers/b-2/references"
    both = wav_of(ANNA, BERT, seconds=2.0)

    chosen = {"content": both, "params": {"diarized_speaker": "SPEAKER_01"}}
    enrolled, again = [await staff.post(path, **chosen) for _ in range(2)]
    missing = await staff.post(path, content=both, params={"diarized_speaker": "SPEAKER_07"})

    assert enrolled.status_code == 201, enrolled.text
    assert (again.status_code, again.json()["reference"]) == (200, enrolled.json()["reference"])
    assert enrolled.json()["reference"]["origin"] == "diarization"
    assert enrolled.json()["reference"]["evidence"]["speech_s"] == pytest.approx(0.75)
    assert_is(missing, 404, "not_found")


async def test_a_voice_that_was_embedded_before_is_enrolled(staff: httpx2.AsyncClient) -> None:
    embedded = (await staff.post("/extract-embedding?encoder=voxceleb", content=wav_of(CLEO))).json()
    path = "/v1/galleries/staff/speakers/c-3"
    await staff.put(path, json={"consent": CONSENT})
    body = {name: embedded[name] for name in ("embedding", "model", "revision")} | {"speech_s": 30.0}

    enrolled = await staff.post(f"{path}/references", json=body)
    found = await staff.post("/v1/galleries/staff/identify", content=wav_of(CLEO))

    assert enrolled.status_code == 201, enrolled.text
    assert enrolled.json()["reference"]["origin"] == "embedding"
    assert found.json()["speaker"] == "c-3"
    assert_is(await staff.post(f"{path}/references", json=body | {"embedding": []}), 422, "invalid_options")


async def test_a_person_is_renamed_merged_exported_and_erased(staff: httpx2.AsyncClient) -> None:
    path = "/v1/galleries/staff/speakers/a-1"
    renamed = await staff.patch(path, json={"display_name": "Anna B."})
    exported = await staff.get(f"{path}/export")
    merged = await staff.post("/v1/galleries/staff/merge", json={"into": "a-1", "from": "b-2"})
    erased = await staff.delete(path)

    assert renamed.json()["display_name"] == "Anna B."
    assert "Anna B." in exported.text
    assert "vector" not in exported.json()
    assert merged.json()["references"] == 2
    assert erased.json()["removed"]["references"] == 2
    for missing in ("a-1", "b-2"):
        assert_is(await staff.get(f"/v1/galleries/staff/speakers/{missing}"), 404, "not_found")
    check = (await staff.get("/v1/ledger/check")).json()
    assert (check["whole"], check["problems"]) == (True, [])
    receipts = (await staff.get("/v1/receipts")).json()["receipts"]
    assert erased.json() in receipts


async def test_galleries_and_receipts_are_listed_in_pages(staff: httpx2.AsyncClient) -> None:
    await staff.put("/v1/galleries/club")
    for speaker in ("a-1", "b-2"):
        await staff.delete(f"/v1/galleries/staff/speakers/{speaker}")

    first = (await staff.get("/v1/galleries", params={"limit": 1})).json()
    last = (await staff.get("/v1/galleries", params={"limit": 1, "after": first["after"]})).json()
    both = (await staff.get("/v1/receipts")).json()
    older = (await staff.get("/v1/receipts", params={"limit": 1})).json()
    newer = (await staff.get("/v1/receipts", params={"limit": 1, "after": older["after"]})).json()

    assert [each["name"] for each in first["galleries"] + last["galleries"]] == ["club", "staff"]
    assert (first["after"], last["after"], both["after"], newer["after"]) == ("club", None, None, None)
    assert older["after"] == older["receipts"][0]["ledger_seq"]
    assert older["receipts"] + newer["receipts"] == both["receipts"]
    for path, wrong in (
        ("/v1/galleries", {"limit": 0}), ("/v1/receipts", {"limit": 1001}), ("/v1/receipts", {"after": "x"}),
        ("/v1/receipts", {"after": 1 << 63}), ("/v1/galleries", {"after": "\0"}),
    ):  # fmt: skip
        assert_is(await staff.get(path, params=wrong), 422, "invalid_options")


async def test_nothing_of_an_erased_voice_stays_cached(
    staff: httpx2.AsyncClient, analyzer: FakeAnalyzer
) -> None:
    before = await analyzer.state.graph.clear_cache()

    await staff.delete("/v1/galleries/staff/speakers/a-1")

    assert (await analyzer.state.graph.clear_cache())[1] > before[1] + 1


async def test_who_opts_out_is_not_enrolled_again(staff: httpx2.AsyncClient) -> None:
    path = "/v1/galleries/staff/speakers/a-1"

    assert (await staff.post(f"{path}/opt-out")).json()["kind"] == "opt_out"
    assert_is(await staff.put(path, json={"consent": CONSENT}), 409, "speaker_opted_out")
    assert (await staff.delete(f"{path}/opt-out")).json() == {"opted_out": False}
    assert (await staff.put(path, json={"consent": CONSENT})).status_code == 201


async def test_who_withdraws_consent_is_no_longer_recognised(staff: httpx2.AsyncClient) -> None:
    receipt = await staff.delete("/v1/galleries/staff/speakers/a-1/consent")

    assert receipt.json()["kind"] == "withdrawal"
    found = await staff.post("/v1/galleries/staff/identify", content=wav_of(ANNA))
    assert found.json()["decision"] == "unknown"


async def test_speakers_are_paged_and_chosen_by_state(staff: httpx2.AsyncClient) -> None:
    first = (await staff.get("/v1/galleries/staff/speakers", params={"limit": 1})).json()
    rest = (await staff.get("/v1/galleries/staff/speakers", params={"after": first["after"]})).json()
    enrolling = (await staff.get("/v1/galleries/staff/speakers", params={"state": "enrolling"})).json()

    names = [each["external_id"] for page in (first, rest) for each in page["speakers"]]
    assert names == ["a-1", "b-2"]
    assert (rest["after"], enrolling["speakers"]) == (None, [])


async def test_a_tenant_never_sees_another_one(client_of: Any) -> None:
    secrets, keys = zip(
        *(make_key(name, ["ask", "gallery"], tenant=tenant) for name, tenant in
          (("one", "north"), ("two", None), ("three", "north"))),
        strict=True,
    )  # fmt: skip
    one, two, three = (
        client_of({"authorization": f"Bearer {secret}"}, api_keys=list(keys)) for secret in secrets
    )
    await one.put("/v1/galleries/staff")

    assert_is(await two.get("/v1/galleries/staff"), 404, "not_found")
    assert (await two.get("/v1/galleries")).json()["galleries"] == []
    assert (await three.get("/v1/galleries/staff")).status_code == 200
    assert {line["actor"] for line in (await three.get("/v1/ledger")).json()["entries"]} == {"one"}


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_galleries_need_their_scope(client_of: Any, method: str, path: str) -> None:
    secret, key = make_key("asks", ["ask", "admin"])
    client = client_of({"authorization": f"Bearer {secret}"}, api_keys=[key])
    body: dict[str, Any] = {"files": {"file": wav_of(ANNA)}} if method == "POST" else {}

    refused = await client.request(method, path, **body)

    assert refused.status_code == 403
    assert "gallery" in refused.json()["detail"]


async def test_no_name_is_in_the_log_or_in_an_error(
    staff: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="ray.serve")
    secrets = ("a-1", "nobody-at-all", "voice-of-anna.wav", "Anna")
    files = {"file": ("voice-of-anna.wav", wav_of(ANNA, seconds=3.0))}

    await staff.post("/v1/galleries/staff/speakers/a-1/references", files=files)
    answers = [
        await staff.get("/v1/galleries/staff/speakers/nobody-at-all"),
        await staff.post("/v1/galleries/staff/verify", files=files, data={"speaker": "nobody-at-all"}),
        await staff.get("/v1/galleries/nobody-at-all/unknown"),
    ]

    assert "/v1/galleries/{gallery}/speakers/{speaker}/references 201" in caplog.text
    for text in (caplog.text, *(each.text for each in answers if each.status_code != 200)):
        assert not [secret for secret in secrets if secret in text]
