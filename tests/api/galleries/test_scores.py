"""Who may see how near a voice is: whoever sees it can change a recording until it passes."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from tone_voices import ANNA, BERT, CLEO, CONSENT, wav_of

from voxgraph.keys import Scope, make_key
from voxgraph.results import (
    Candidate,
    Decision,
    Duplicate,
    Enrolment,
    Evidence,
    Reason,
    ReferenceInfo,
    VoiceDecision,
)

SCORES = ("llr", "margin", "probability", "score", "spoof_score")
SCOPES: dict[str, tuple[Scope, ...]] = {
    "desk": ("ask", "gallery"), "boss": ("ask", "gallery", "scores"),
}  # fmt: skip


def scores_in(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the figures anywhere in JSON that say how near a voice is."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name in SCORES and each is not None:
                yield name, each
            yield from scores_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from scores_in(each)


@pytest.fixture
async def clients(staff: httpx2.AsyncClient, client_of: Any) -> dict[str, httpx2.AsyncClient]:
    """Return a client without the scope, one with it, and one of an application without keys."""
    secrets, keys = zip(
        *(make_key(name, list(scopes), tenant="default") for name, scopes in SCOPES.items()), strict=True
    )
    found = {
        name: client_of({"authorization": f"Bearer {secret}"}, api_keys=list(keys))
        for name, secret in zip(SCOPES, secrets, strict=True)
    }
    await staff.put("/v1/galleries/staff", json={"probe_speech_s": 0.5, "duplicates": "allow"})
    return {**found, "anybody": staff}


async def answers(client: httpx2.AsyncClient) -> dict[str, Any]:
    """Ask everything that has scores."""
    path, anna, both = "/v1/galleries/staff", wav_of(ANNA), wav_of(ANNA, BERT, seconds=2.0)
    found = {
        "match": await client.post(f"{path}/identify", content=anna),
        "unknown": await client.post(f"{path}/identify", content=wav_of(CLEO)),
        "verified": await client.post(f"{path}/verify?speaker=b-2", content=anna),
        "several": await client.post(f"{path}/identify?diarize=true", content=both),
        "diarized": await client.post("/diarize?gallery=staff", content=both),
        "analyzed": await client.post("/v1/analyze?gallery=staff&tasks=diarization", content=both),
        "refused": await client.post(f"{path}/speakers/a-1/references", content=wav_of(BERT, seconds=3.0)),
        "again": await client.post(f"{path}/speakers/a-1/references", content=anna),
        "references": await client.get(f"{path}/speakers/a-1/references"),
        "export": await client.get(f"{path}/speakers/a-1/export"),
        "duplicates": await client.get(f"{path}/duplicates"),
    }
    accept = {"accept": "application/x-ndjson"}
    streamed = await client.post("/diarize?gallery=staff", content=both, headers=accept)
    found_json = {name: response.json() for name, response in found.items()}
    return {**found_json, "streamed": [json.loads(line) for line in streamed.text.splitlines()]}


async def test_a_key_without_the_scope_sees_decisions_and_no_figures(
    clients: dict[str, httpx2.AsyncClient],
) -> None:
    desk, boss, anybody = [await answers(clients[name]) for name in ("desk", "boss", "anybody")]

    assert {name: [*scores_in(each)] for name, each in desk.items()} == {name: [] for name in desk}
    for seen in (boss, anybody):
        for name in ("match", "unknown", "verified", "several", "diarized", "export", "streamed"):
            assert [*scores_in(seen[name])], name
        assert seen["refused"]["reasons"][0]["value"] is not None
    assert (desk["match"]["decision"], desk["match"]["speaker"]) == ("match", "a-1")
    assert [each["external_id"] for each in desk["match"]["candidates"]] == ["a-1", "b-2"]
    assert (desk["unknown"]["decision"], desk["unknown"]["candidates"]) == ("unknown", [])
    assert boss["unknown"]["candidates"]
    assert desk["verified"]["decision"] == boss["verified"]["decision"] == "no_match"
    (reason,) = desk["refused"]["reasons"]
    assert (reason["code"], reason["value"]) == ("reference_disagrees", None)
    assert not any(char.isdigit() for char in desk["refused"]["detail"])
    assert desk["diarized"]["identities"].keys() == boss["diarized"]["identities"].keys()


async def test_vectors_and_pairs_are_for_keys_with_the_scope(clients: dict[str, httpx2.AsyncClient]) -> None:
    path = "/v1/galleries/staff"
    await clients["desk"].put(f"{path}/speakers/c-3", json={"consent": CONSENT})
    await clients["desk"].post(f"{path}/speakers/c-3/references", content=wav_of(ANNA))
    export = f"{path}/speakers/a-1/export?vectors=true"
    statuses = {name: (await client.get(export)).status_code for name, client in clients.items()}
    pairs = {
        name: (await client.get(f"{path}/duplicates")).json()["duplicates"]
        for name, client in clients.items()
    }

    assert statuses == {"desk": 403, "boss": 200, "anybody": 200}
    assert pairs["desk"] == [{"speakers": ["a-1", "c-3"], "llr": None, "score": None}]
    assert pairs["boss"][0]["score"] == pytest.approx(1.0)


def test_what_says_how_near_a_voice_is_is_taken_away() -> None:
    evidence = Evidence(5.0, snr_db=20.0, spoof_score=0.4, spoof_verdict="inconclusive")
    candidates = (Candidate("a", "Anna", 5.0, 0.8, 0.9), Candidate("b", None, 4.0, 0.7, 0.1))
    found = {
        kind: VoiceDecision(
            kind, "a", candidates=candidates, llr=5.0, margin=1.0, probability=0.9, threshold=0.85,
            evidence=evidence,
        ).without_scores()
        for kind in (Decision.MATCH, Decision.AMBIGUOUS, Decision.NO_MATCH, Decision.INCONCLUSIVE)
    }  # fmt: skip
    reasons = Reason("reference_disagrees", "No.", -3.0, 0.0), Reason("noise", "Loud.", 1.0, 2.0)
    now = CONSENT["given_at"]
    reference = ReferenceInfo("ref", evidence, (), "audio", now, "key")  # type: ignore[arg-type]
    enrolment = Enrolment(None, reference, reasons, reasons).without_scores()  # type: ignore[arg-type]

    for each in found.values():
        assert (each.llr, each.margin, each.probability, each.threshold) == (None, None, None, 0.85)
        assert each.evidence == Evidence(5.0, snr_db=20.0, spoof_verdict="inconclusive")
    bare = (Candidate("a", "Anna", None, None, None), Candidate("b", None, None, None, None))
    assert [each.candidates for each in found.values()] == [bare, bare, (), ()]
    assert enrolment.reference is not None
    assert enrolment.reference.evidence.spoof_score is None
    assert [each.value for each in (*enrolment.reasons, *enrolment.warnings)] == [None, 1.0, None, 1.0]
    assert Duplicate(("a", "b"), 4.0, 0.9).without_scores() == Duplicate(("a", "b"), None, None)


async def test_a_match_is_named_without_the_scope_in_every_format(
    clients: dict[str, httpx2.AsyncClient],
) -> None:
    both = wav_of(ANNA, BERT, seconds=2.0)
    texts = [
        (await clients[name].post("/diarize?gallery=staff&format=rttm", content=both)).text
        for name in ("desk", "boss")
    ]

    assert texts[0] == texts[1]
    assert "unknown" in texts[0] or "Anna" in texts[0]
