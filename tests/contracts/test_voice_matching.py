"""The contract of the voice matching service."""

import time
from typing import Any

import httpx2
import numpy as np
import pytest
from recordings import post, wav


def voice(http: httpx2.Client, name: str) -> list[float]:
    embedding: list[float] = post(http, "/extract-embedding", files={"audio": wav(name)})["embedding"]
    return embedding


def test_health_reports_the_models_of_voice_matching(http: httpx2.Client) -> None:
    assert http.get("/health").json()["models_loaded"] is True


def test_extract_embedding(http: httpx2.Client) -> None:
    answer = post(http, "/extract-embedding", files={"audio": ("voice.wav", wav("en_m3.flac"))})

    assert answer["success"] is True
    assert len(answer["embedding"]) == answer["embedding_size"] == 192
    assert answer["language"] == "en"
    assert 0 < answer["confidence"] <= 1
    assert answer["model"] == "speechbrain/spkrec-ecapa-voxceleb"


def test_compare_voices(http: httpx2.Client) -> None:
    first, second = voice(http, "accent_us_m3.flac"), voice(http, "accent_england_m3.flac")

    answer = post(http, "/compare-voices", json={"embedding1": first, "embedding2": second})

    assert answer["success"] is True
    cosine = np.dot(first, second) / np.linalg.norm(first) / np.linalg.norm(second)
    assert answer["similarity"] == pytest.approx(cosine, abs=1e-5)
    assert answer["is_match"] is True


def test_find_match(http: httpx2.Client) -> None:
    stored = [
        {"id": "scottish man", "embedding": voice(http, "accent_scotland_m3.flac"), "metadata": {"age": 40}},
        {"id": "woman", "embedding": voice(http, "accent_us_f3.flac"), "metadata": None},
        {"id": "englishman", "embedding": voice(http, "accent_england_m3.flac"), "metadata": ["any", 1]},
    ]
    user = voice(http, "accent_england_m3.flac")

    answer = post(http, "/find-match", json={"user_embedding": user, "stored_embeddings": stored, "top_n": 2})

    assert answer["success"] is True
    assert answer["best_match"]["id"] == "englishman"
    assert answer["best_match"]["similarity"] == pytest.approx(1, abs=1e-5)
    assert answer["best_match"]["is_match"] is True
    assert answer["top_matches"][0]["id"] == "englishman"
    assert len(answer["top_matches"]) == 2
    assert answer["top_matches"][0]["metadata"] == ["any", 1]


def gallery(number: int) -> list[dict[str, Any]]:
    vectors = np.random.default_rng(0).normal(size=(number, 192)).astype(np.float32)
    return [{"id": str(index), "embedding": vector.tolist()} for index, vector in enumerate(vectors)]


def search(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"user_embedding": [1.0] * 192, "stored_embeddings": gallery(3), "top_n": 5}
    return body | changes


@pytest.mark.parametrize(
    "body",
    [
        search(user_embedding=[1.0] * 191),
        search(user_embedding=[0.0] * 192),
        search(user_embedding="x"),
        search(stored_embeddings=[]),
        search(stored_embeddings=[*gallery(2), {"id": "a", "embedding": [1.0] * 10}]),
        search(stored_embeddings=[*gallery(2), {"id": "a", "embedding": [0.0] * 192}]),
        search(stored_embeddings=[*gallery(2), *gallery(1)]),
        search(stored_embeddings=[{"id": "a"}]),
        search(top_n=0),
        {"user_embedding": [1.0] * 192},
        [1, 2, 3],
    ],
)
def test_an_invalid_search_is_a_clear_422(http: httpx2.Client, body: Any) -> None:
    assert len(post(http, "/find-match", 422, json=body)["detail"]) > 10


def test_nan_is_a_clear_422(http: httpx2.Client) -> None:
    body = '{"embedding1": [' + ",".join(["NaN"] * 192) + '], "embedding2": [' + ",".join(["1"] * 192) + "]}"

    post(http, "/compare-voices", 422, content=body, headers={"content-type": "application/json"})


def test_a_gallery_of_ten_thousand_voices(http: httpx2.Client) -> None:
    stored = gallery(10_000)
    user = stored[7_654]["embedding"]

    started = time.perf_counter()
    answer = post(http, "/find-match", json={"user_embedding": user, "stored_embeddings": stored})

    assert answer["best_match"]["id"] == "7654"
    assert len(answer["top_matches"]) == 5
    assert time.perf_counter() - started < 30


@pytest.mark.parametrize("name", ["ja_m3.flac", "de_f3.flac"])
def test_detect_language(http: httpx2.Client, name: str) -> None:
    answer = post(http, "/detect-language", files={"audio": wav(name)})

    assert (answer["success"], answer["language"]) == (True, name[:2])
    assert 0 < answer["confidence"] <= 1
