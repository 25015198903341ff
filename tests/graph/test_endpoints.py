"""Every endpoint of the graph over HTTP, through Serve's proxy, with a real conversation."""

import math
import time
from typing import Any

import httpx2
import pytest
from launched import Launched
from recordings import post

from deployments.state.client import REPORT_INTERVAL_S
from pipelines.routing import encoder_of
from voxgraph.options import ModelKey
from voxgraph.results import LanguageResult

DURATION_S = 30.0
CACHE_LOOKUPS = (6, 2)
"""Hits and misses of two equal comparisons of a recording with itself: language and embedding are computed
once, and the other recording and the other request find them."""
CACHE_ROUNDS = 10
ENCODERS = {
    ModelKey.SPEAKER_VOXCELEB: "speechbrain/spkrec-ecapa-voxceleb",
    ModelKey.SPEAKER_CNCELEB: "LanceaKing/spkrec-ecapa-cnceleb",
}


def ask(http: httpx2.Client, path: str, audio: bytes, **options: Any) -> dict[str, Any]:
    return post(http, path, files={"file": ("conversation.wav", audio, "audio/wav")}, **options)


def test_health_names_every_model_and_where_its_checkpoint_comes_from(http: httpx2.Client) -> None:
    answer = http.get("/health").json()

    assert answer["status"] == "ok"
    assert len(answer["models"]) == 7
    assert answer["failed"] == {}
    assert {model["source"] for model in answer["models"].values()} == {"local"}
    assert (answer["checkpoints"], answer["notice"]) == ("local", None)


def test_detect_language(http: httpx2.Client, conversation: bytes) -> None:
    answer = ask(http, "/detect-language", conversation)

    assert answer["success"] is True
    assert 2 <= len(answer["language"]) <= 3
    assert 1 / 107 <= answer["confidence"] <= 1


def test_the_language_selects_the_encoder(http: httpx2.Client, conversation: bytes) -> None:
    detected = ask(http, "/detect-language", conversation)
    answer = ask(http, "/extract-embedding", conversation)

    assert answer["language"] == detected["language"]
    # The five most probable languages are listed; the others of this recording have next to no probability.
    language = LanguageResult(
        detected["language"], detected["name"], detected["confidence"], detected["probabilities"]
    )
    assert answer["model"] == ENCODERS[encoder_of(language)]
    assert answer["embedding_size"] == len(answer["embedding"]) == 192


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_named_encoder_embeds_whatever_is_spoken(
    http: httpx2.Client, conversation: bytes, encoder: ModelKey
) -> None:
    name = encoder.removeprefix("speaker_")

    answer = ask(http, "/extract-embedding", conversation, params={"encoder": name})

    assert answer["model"] == ENCODERS[encoder]
    assert answer["language"] is None
    pair = {"file1": conversation, "file2": conversation}
    compared = http.post("/v1/speaker/compare", files=pair, params={"encoder": name})
    assert compared.json()["model"] == ENCODERS[encoder]
    assert compared.json()["similarity_score"] == pytest.approx(1.0)


def test_allowed_languages_decide_the_language_and_the_encoder(
    http: httpx2.Client, conversation: bytes
) -> None:
    detected = ask(http, "/detect-language", conversation, params={"languages": "ja,ko"})
    answer = ask(http, "/extract-embedding", conversation, params={"languages": "ko,ja"})

    assert sum(detected["probabilities"].values()) == pytest.approx(1.0)
    assert answer["language"] == detected["language"] in {"ja", "ko"}
    assert answer["model"] == ENCODERS[ModelKey.SPEAKER_CNCELEB]
    refused = http.post("/v1/analyze", files={"file": conversation}, params={"languages": "en,xx"})
    assert refused.status_code == 422
    assert "'xx'" in refused.json()["detail"]


def test_a_comparison_is_answered_from_the_cache_the_second_time(
    service: Launched, conversation: bytes
) -> None:
    pair = {"file1": conversation, "file2": conversation}
    # One ingress replica, because each has a cache of its own.
    with httpx2.Client(base_url=service.ingress_url(), timeout=120) as http:
        for _ in range(CACHE_ROUNDS):
            post(http, "/clear-cache")
            first, second = (post(http, "/compare", files=pair) for _ in range(2))
            info = post(http, "/clear-cache")["cache_info"]
            if (info["hits"], info["misses"]) == CACHE_LOOKUPS:
                break
            # The other replicas have reported what earlier tests asked, or a model was too busy to say which
            # checkpoint it has, without which nothing is cached: neither lasts.
            time.sleep(REPORT_INTERVAL_S)

    assert (info["hits"], info["misses"]) == CACHE_LOOKUPS
    assert first["similarity_score"] == second["similarity_score"] == pytest.approx(1.0)


def test_embedding_is_normalised_by_default(http: httpx2.Client, conversation: bytes) -> None:
    unit = ask(http, "/embedding", conversation)
    raw = ask(http, "/embedding", conversation, params={"normalize": "false"})

    assert math.hypot(*unit["embedding"]) == pytest.approx(1, abs=1e-4)
    norm = math.hypot(*raw["embedding"])
    assert [x / norm for x in raw["embedding"]] == pytest.approx(unit["embedding"], abs=1e-5)


def test_identify_returns_only_a_percentage(http: httpx2.Client, conversation: bytes) -> None:
    answer = ask(http, "/identify", conversation)

    assert set(answer) == {"us_confidence"}
    assert 0 <= answer["us_confidence"] <= 100


def test_identify_in_detail_sums_to_one(http: httpx2.Client, conversation: bytes) -> None:
    answer = ask(http, "/identify", conversation, params={"detail": "true"})

    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    assert len(answer["probabilities"]) == 16
    assert (answer["us_confidence"] > 0) == (answer["accent"] == "us")


def test_classify_us_accent(http: httpx2.Client, conversation: bytes) -> None:
    answer = ask(http, "/classify-us-accent", conversation)

    assert set(answer) == {"us_confidence"}
    assert round(answer["us_confidence"], 1) == answer["us_confidence"]


def test_diarize_finds_at_most_the_speakers_that_are_allowed(
    http: httpx2.Client, conversation: bytes
) -> None:
    answer = ask(http, "/diarize", conversation, data={"max_speakers": "2"})

    assert answer["audio_duration"] == pytest.approx(DURATION_S, abs=0.1)
    assert answer["segments_count"] == len(answer["diarization_results"])
    assert {turn["speaker"] for turn in answer["diarization_results"]} <= {"SPEAKER_00", "SPEAKER_01"}
    for turn in answer["diarization_results"]:
        assert 0 <= turn["start"] < turn["end"] <= DURATION_S + 0.1


def test_a_minute_of_chunks_covers_the_recording(http: httpx2.Client, conversation: bytes) -> None:
    answer = ask(http, "/audio/analyze-audio", conversation, params={"chunk_duration": 5, "overlap": 0.5})

    chunks = answer["chunks"]
    assert answer["total_chunks"] == len(chunks) == answer["summary"]["total_chunks"] == 11
    assert [chunk["chunk_index"] for chunk in chunks] == list(range(11))
    assert chunks[0]["start_time"] == 0
    assert chunks[-1]["end_time"] == pytest.approx(DURATION_S, abs=0.1)
    for chunk in chunks:
        assert sum(chunk["class_probabilities"].values()) == pytest.approx(1, abs=1e-3)


def test_analyze_returns_the_results_of_the_single_endpoints(
    http: httpx2.Client, conversation: bytes
) -> None:
    answer = ask(http, "/v1/analyze", conversation)

    assert set(answer) >= {"language", "speaker", "accent", "diarization", "deepfake"}
    alone = ask(http, "/extract-embedding", conversation)
    assert answer["speaker"]["embedding"] == pytest.approx(alone["embedding"], rel=1e-4, abs=1e-4)
    assert answer["language"]["language"] == alone["language"]


def test_analyze_runs_only_the_requested_tasks(http: httpx2.Client, conversation: bytes) -> None:
    answer = ask(http, "/v1/analyze", conversation, params={"tasks": "language,deepfake"})

    assert {"language", "deepfake"} <= set(answer)
    assert not {"speaker", "accent", "diarization"} & set(answer)


def test_a_raw_body_is_answered_like_a_form(http: httpx2.Client, conversation: bytes) -> None:
    raw = http.post("/detect-language", content=conversation, headers={"content-type": "audio/wav"})

    assert raw.json()["language"] == ask(http, "/detect-language", conversation)["language"]


def test_openapi_is_served(http: httpx2.Client) -> None:
    paths = http.get("/openapi.json").json()["paths"]

    assert {"/health", "/detect-language", "/extract-embedding", "/embedding", "/identify"} <= set(paths)
    assert {"/classify-us-accent", "/diarize", "/audio/analyze-audio", "/v1/analyze"} <= set(paths)
    assert http.get("/docs").status_code == 200
