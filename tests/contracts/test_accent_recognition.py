"""The contract of the accent recognition API: `POST /identify` and the service's statistics."""

import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from launched import Launched
from recordings import LABELS, encode, new_wav, post, samples, wav

from deployments.state.client import REPORT_INTERVAL_S

US, OTHER = "accent_us_m3.flac", "accent_scotland_m3.flac"
REPORTED_S = 2 * REPORT_INTERVAL_S
"""Seconds until every ingress replica has reported its counters."""


def identify(http: httpx2.Client, audio: bytes, expected: int = 200, **request: Any) -> dict[str, Any]:
    return post(http, "/identify", expected, files={"file": ("a.wav", audio, "audio/wav")}, **request)


def get(http: httpx2.Client, path: str) -> dict[str, Any]:
    response = http.get(path)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_the_answer_is_a_percentage_of_two_decimals_and_nothing_else(http: httpx2.Client) -> None:
    answer = identify(http, wav(US))

    assert set(answer) == {"us_confidence"}
    assert 0 <= answer["us_confidence"] <= 100
    assert answer["us_confidence"] == round(answer["us_confidence"], 2)


@pytest.mark.parametrize("name", [name for name, label in LABELS.items() if "accent" in label])
def test_the_percentage_is_that_of_us_if_us_is_most_probable_and_zero_otherwise(
    http: httpx2.Client, name: str
) -> None:
    plain = identify(http, wav(name))["us_confidence"]
    detail = identify(http, wav(name), params={"detail": "true"})

    assert len(detail["probabilities"]) == 16
    assert sum(detail["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert detail["us_confidence"] == plain
    found_us = detail["accent"] == "us"
    assert plain == (round(100 * detail["probabilities"]["us"], 2) if found_us else 0.0)


@pytest.mark.parametrize("kind", ["FLAC", "MP3"])
def test_only_wav_is_accepted_judged_by_content_not_by_name(http: httpx2.Client, kind: str) -> None:
    disguised = encode(samples(US), kind, None)

    assert "WAV" in identify(http, disguised, expected=400)["detail"]
    files = {"file": ("voice.mp3", wav(US), "audio/mpeg")}
    assert set(post(http, "/identify", files=files)) == {"us_confidence"}


def test_more_than_50_mb_is_refused(http: httpx2.Client) -> None:
    just_over = 50 * 1024 * 1024 + 1

    identify(http, wav(US) + bytes(just_over - len(wav(US))), expected=413)


def test_a_full_queue_refuses_further_requests_with_retry_after(
    service: Launched,
) -> None:
    recordings = [new_wav(number, seconds=25.0) for number in range(60)]

    def send(audio: bytes) -> tuple[int, float, str | None]:
        started = time.perf_counter()
        with httpx2.Client(base_url=service.url, timeout=120) as http:
            response = http.post("/identify", files={"file": ("a.wav", audio, "audio/wav")})
        return response.status_code, time.perf_counter() - started, response.headers.get("retry-after")

    with ThreadPoolExecutor(60) as pool:
        results = list(pool.map(send, recordings))

    statuses = Counter(status for status, _, _ in results)
    assert set(statuses) == {200, 503}
    assert statuses[200] >= 25
    assert all(int(after or 0) >= 1 for status, _, after in results if status == 503)
    with httpx2.Client(base_url=service.url, timeout=120) as http:
        for _ in range(50):
            queue = get(http, "/queue-status")
            if queue["active_requests"] == 0:
                break
            time.sleep(0.1)
        assert (queue["active_requests"], queue["queue_size"]) == (0, 0)


def test_health(http: httpx2.Client) -> None:
    answer = get(http, "/health")

    assert answer["status"] == "ok"
    assert answer["model_loaded"] is True
    assert answer["device"] == "cpu"
    assert answer["memory_usage_mb"] > 100


def test_stats_cover_all_three_ingress_replicas(service: Launched) -> None:
    """Connections are spread over the replicas, and each replica answers with the counts of all."""
    time.sleep(REPORTED_S)
    with httpx2.Client(base_url=service.url, timeout=120) as http:
        before = get(http, "/stats")
    recordings = [new_wav(1_000 + number) for number in range(24)]
    twice = recordings + recordings

    def send(audio: bytes) -> int:
        with httpx2.Client(base_url=service.url, timeout=120) as http:
            return http.post("/classify-us-accent", files={"file": ("a.wav", audio)}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(send, twice)) == {200}
    time.sleep(REPORTED_S)

    for _ in range(9):
        with httpx2.Client(base_url=service.url, timeout=120) as http:
            after = get(http, "/stats")
        assert after["total_requests"] - before["total_requests"] == 48
        endpoint = "/classify-us-accent"
        was = before["endpoints"].get(endpoint, {"requests": 0})["requests"]
        assert after["endpoints"][endpoint]["requests"] - was == 48
    assert set(after) >= {
        "total_requests", "average_inference_time", "cache_hit_rate", "memory_usage_mb", "cache_size",
        "max_cache_size", "queue_size", "max_queue_size", "active_requests", "max_concurrent_requests",
        "available_slots", "cleanup_enabled", "cleanup_stats",
    }  # fmt: skip
    assert set(after["cleanup_stats"]) == {"last_cleanup", "total_cleanups", "files_deleted", "bytes_freed"}
    assert after["average_inference_time"] > 0
    assert after["max_cache_size"] == 100
    assert (after["max_concurrent_requests"], after["max_queue_size"]) == (5, 20)


@pytest.fixture
def replica(service: Launched) -> str:
    """Return the address of one ingress replica, which has one cache, as the old service had."""
    return service.ingress_url()


def test_identical_uploads_in_flight_are_computed_once(replica: str) -> None:
    with httpx2.Client(base_url=replica, timeout=120) as http:
        cleared = post(http, "/clear-cache")
    assert set(cleared) == {"message", "cache_info"}
    assert set(cleared["cache_info"]) == {"hits", "misses", "maxsize", "currsize"}
    audio = new_wav(7_777, seconds=20.0)

    def send(_: int) -> float:
        with httpx2.Client(base_url=replica, timeout=120) as http:
            return float(post(http, "/classify-us-accent", files={"file": ("a.wav", audio)})["us_confidence"])

    with ThreadPoolExecutor(12) as pool:
        answers = set(pool.map(send, range(12)))

    assert len(answers) == 1
    with httpx2.Client(base_url=replica, timeout=120) as http:
        info = post(http, "/clear-cache")["cache_info"]
    assert (info["hits"], info["misses"], info["currsize"]) == (11, 1, 1)


def test_the_cache_distinguishes_endpoints_and_parameters(replica: str) -> None:
    audio, http = new_wav(8_888), httpx2.Client(base_url=replica, timeout=120)
    post(http, "/clear-cache")

    for path in ("/identify", "/classify-us-accent"):
        for _ in range(2):
            post(http, path, files={"file": ("a.wav", audio)})
    for chunk in (1.0, 2.0):
        post(http, "/audio/analyze-audio", files={"file": audio}, params={"chunk_duration": chunk})

    info = post(http, "/clear-cache")["cache_info"]
    assert (info["hits"], info["misses"]) == (2, 4)


def test_queue_status(http: httpx2.Client) -> None:
    answer = get(http, "/queue-status")

    assert set(answer) >= {
        "queue_size", "max_queue_size", "active_requests", "max_concurrent_requests", "available_slots",
        "queue_full", "semaphore_locked", "active_request_ids",
    }  # fmt: skip
    assert answer["available_slots"] == answer["max_concurrent_requests"] - answer["active_requests"]


def test_the_janitor_deletes_old_files_of_its_folder_and_follows_no_symlinks(
    http: httpx2.Client, uploads: Path, tmp_path: Path
) -> None:
    outside, old, new = tmp_path / "precious.wav", uploads / "old.wav", uploads / "new.wav"
    for path in (outside, old, new):
        path.write_bytes(b"12345")
    (uploads / "link").symlink_to(tmp_path)
    for path in (outside, old):
        os.utime(path, (0, 0))
    status = get(http, "/cleanup-status")
    assert set(status) >= {
        "cleanup_enabled", "cleanup_interval", "max_file_age_hours", "uploads_folder", "uploads_info",
        "cleanup_stats", "in_memory_processing", "note",
    }  # fmt: skip
    assert (status["cleanup_enabled"], status["in_memory_processing"]) == (True, True)
    assert status["uploads_info"] == {"exists": True, "file_count": 2, "total_size": 10}

    answer = post(http, "/cleanup-files")

    assert set(answer) == {"message", "files_deleted", "bytes_freed", "cleanup_stats"}
    assert (answer["files_deleted"], answer["bytes_freed"]) == (1, 5)
    assert not old.exists()
    assert new.exists()
    assert outside.exists()


def test_the_index_lists_the_endpoints_of_the_running_application(http: httpx2.Client) -> None:
    answer = get(http, "/")

    assert set(answer) >= {
        "message", "version", "response_format", "optimizations", "queue_system", "endpoints",
    }  # fmt: skip
    documented = get(http, "/openapi.json")["paths"]
    assert set(answer["endpoints"]) == {
        f"{method.upper()} {path}" for path, methods in documented.items() for method in methods
    }


def test_browsers_get_a_page(http: httpx2.Client) -> None:
    response = http.get("/", headers={"accept": "text/html,application/xhtml+xml"})

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
