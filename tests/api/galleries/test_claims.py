"""Voices may be asked about in vain only so often."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from fake_analyzer import FakeAnalyzer
from tone_voices import ANNA, BERT, wav_of

from deployments.api import leaky_buckets
from deployments.api.claims import InVain, TriedInVain
from voxgraph.keys import Key, digest

STRANGER = 700.0
FAR = "192.0.2.7"
IDENTIFY = "/v1/galleries/staff/identify"
Make = Callable[..., httpx2.AsyncClient]


async def test_a_claim_that_fails_again_and_again_is_429(staff: httpx2.AsyncClient) -> None:
    path = "/v1/galleries/staff/verify"

    failed = [await staff.post(path, content=wav_of(BERT), params={"speaker": "a-1"}) for _ in range(10)]
    refused = await staff.post(path, content=wav_of(ANNA), params={"speaker": "a-1"})
    other = await staff.post(path, content=wav_of(BERT), params={"speaker": "b-2"})

    assert {each.json()["decision"] for each in failed} == {"no_match"}
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert 1 <= int(refused.headers["retry-after"]) <= 6
    assert other.json()["decision"] == "match"


def test_what_was_in_vain_is_let_in_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaky_buckets, "MOST_COUNTED", 2)
    now = 0.0
    counted = InVain(10, "claims", lambda: now)
    for _ in range(10):
        counted.check("anna")
        counted.failed("anna")

    with pytest.raises(TriedInVain, match="10 claims") as raised:
        counted.check("anna")
    counted.check("bert")
    assert raised.value.retry_after_s == pytest.approx(6.0)
    now = 5.9
    with pytest.raises(TriedInVain):
        counted.check("anna")
    now = 6.1
    counted.check("anna")
    counted.failed("anna")
    with pytest.raises(TriedInVain):
        counted.check("anna")
    now = 120.0
    for _ in range(10):
        counted.check("anna")
        counted.failed("anna")
    for each in ("bert", "cleo"):
        counted.failed(each)
    counted.check("anna")  # Forgotten.
    assert len(counted._buckets) == 2


def test_no_limit_counts_nothing() -> None:
    counted = InVain(0, "claims")
    for _ in range(1000):
        counted.failed("anna")

    counted.check("anna")
    assert len(counted._buckets) == 0


@pytest.mark.parametrize(
    ("path", "options"),
    [
        (IDENTIFY, {}),
        (IDENTIFY, {"diarize": "true"}),
        ("/diarize", {"gallery": "staff"}),
        ("/v1/analyze", {"gallery": "staff", "tasks": "diarization"}),
        ("/v1/batch", {"gallery": "staff", "tasks": "diarization"}),
    ],
)
async def test_a_client_that_asks_about_strangers_all_the_time_is_429(
    staff: httpx2.AsyncClient, client_of: Make, path: str, options: dict[str, str]
) -> None:
    far = client_of(address=FAR, limits={"max_unknown_per_minute": 3})
    assert (await far.put("/v1/galleries/other")).status_code == 201

    async def ask(pitch: float) -> httpx2.Response:
        return await far.post(path, files={"file": ("a.wav", wav_of(pitch))}, params=options)

    found = [await ask(STRANGER) for _ in range(3)]
    refused = await ask(ANNA)
    elsewhere = await far.post("/v1/galleries/other/identify", content=wav_of(STRANGER))

    assert [each.status_code for each in found] == [200] * 3
    assert "unknown" in found[0].text
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert 15 <= int(refused.headers["retry-after"]) <= 20
    assert elsewhere.status_code == 200


async def test_whoever_is_recognised_was_not_asked_about_in_vain(
    staff: httpx2.AsyncClient, client_of: Make, analyzer: FakeAnalyzer
) -> None:
    far = client_of(address=FAR, limits={"max_unknown_per_minute": 2})

    found = [await far.post(IDENTIFY, content=wav_of(pitch)) for pitch in (ANNA, STRANGER, BERT, ANNA)]
    analyzer.speech_s = 0.1
    unheard = [await far.post(IDENTIFY, content=wav_of(STRANGER)) for _ in range(3)]

    assert [each.json()["decision"] for each in found] == ["match", "unknown", "match", "match"]
    assert {each.json()["decision"] for each in unheard} == {"not_enough_speech"}


async def test_a_batch_that_has_begun_is_answered_to_its_end(
    staff: httpx2.AsyncClient, client_of: Make
) -> None:
    far = client_of(address=FAR, limits={"max_unknown_per_minute": 2})
    files = [("file", (f"{index}.wav", wav_of(STRANGER + index))) for index in range(5)]
    options = {"gallery": "staff", "tasks": "diarization"}

    answered = await far.post("/v1/batch", files=files, params=options)
    refused = await far.post("/v1/batch", files=files, params=options)

    assert answered.text.count('"answer"') == 5
    assert refused.status_code == 429


async def test_each_key_has_its_own_tries_and_a_program_here_has_no_limit(
    staff: httpx2.AsyncClient, client_of: Make
) -> None:
    keys = [Key(name=name, sha256=digest(name), scopes=("ask", "gallery"), tenant="default") for name in "ab"]
    settings: dict[str, Any] = {"limits": {"max_unknown_per_minute": 1}}
    here = client_of(**settings)
    both = client_of(api_keys=keys, **settings)

    async def ask(client: httpx2.AsyncClient, key: str = "") -> int:
        headers = {"x-api-key": key}
        return (await client.post(IDENTIFY, content=wav_of(STRANGER), headers=headers)).status_code

    assert [await ask(both, key) for key in ("a", "a", "b", "b")] == [200, 429, 200, 429]
    assert [await ask(here) for _ in range(3)] == [200] * 3
