"""The contract of the chunked deepfake detection."""

from typing import Any

import httpx2
import pytest
from recordings import LABELS, post, samples, wav

SUMMARY = {
    "total_chunks", "ai_generated_chunks", "real_chunks", "ai_generated_ratio", "average_confidence",
    "chunk_duration_seconds", "overlap_ratio",
}  # fmt: skip


def analyze(http: httpx2.Client, name: str, expected: int = 200, **params: Any) -> dict[str, Any]:
    return post(http, "/audio/analyze-audio", expected, files={"file": wav(name)}, params=params)


def test_model_status(http: httpx2.Client) -> None:
    answer = http.get("/audio/model-status").json()

    assert (answer["model_loaded"], answer["device"]) == (True, "cpu")


def test_model_info_has_the_classes_of_the_checkpoint(http: httpx2.Client) -> None:
    answer = http.get("/audio/model-info").json()

    assert answer["class_mapping"] == {"0": "AI-generated", "1": "real"}
    assert answer["model_name"] == "mo-thecreator/Deepfake-audio-detection"


def test_the_answer_has_every_field(http: httpx2.Client) -> None:
    answer = analyze(http, "spliced.flac", chunk_duration=5.0, overlap=0.5)

    assert set(answer) >= {
        "is_deepfake", "overall_confidence", "model_loaded", "total_chunks", "chunks", "summary",
    }  # fmt: skip
    assert set(answer["summary"]) == SUMMARY
    assert answer["total_chunks"] == len(answer["chunks"]) == answer["summary"]["total_chunks"]
    for index, chunk in enumerate(answer["chunks"]):
        assert chunk["chunk_index"] == index
        assert chunk["end_time"] - chunk["start_time"] == pytest.approx(5.0, abs=0.002)
        assert sum(chunk["class_probabilities"].values()) == pytest.approx(1, abs=1e-4)
        assert chunk["is_ai_generated"] == (chunk["class_probabilities"]["ai_generated"] > 0.5)
    seconds = len(samples("spliced.flac")) / 16_000
    assert answer["chunks"][0]["start_time"] == 0
    assert answer["chunks"][-1]["end_time"] == pytest.approx(seconds, abs=0.002)


def test_more_than_half_of_the_chunks_make_a_deepfake(http: httpx2.Client) -> None:
    answer = analyze(http, "spliced.flac", chunk_duration=2.0)

    generated = sum(chunk["is_ai_generated"] for chunk in answer["chunks"])
    assert answer["summary"]["ai_generated_chunks"] == generated
    assert answer["summary"]["ai_generated_ratio"] == pytest.approx(generated / answer["total_chunks"])
    assert answer["is_deepfake"] == (generated > answer["total_chunks"] / 2)


def test_the_vocoded_part_is_flagged(http: httpx2.Client) -> None:
    start, end = LABELS["spliced.flac"]["vocoded"]
    chunks = analyze(http, "spliced.flac", chunk_duration=2.0)["chunks"]

    inside = [c["is_ai_generated"] for c in chunks if c["start_time"] >= start and c["end_time"] <= end]
    outside = [c["is_ai_generated"] for c in chunks if c["end_time"] <= start or c["start_time"] >= end]

    assert sum(inside) / len(inside) > 0.7
    assert sum(outside) / len(outside) < 0.3


@pytest.mark.parametrize(
    "params",
    [{"chunk_duration": 0.9}, {"chunk_duration": 30.1}, {"overlap": -0.1}, {"overlap": 0.91},
     {"chunk_duration": "nan"}, {"overlap": "half"}],
)  # fmt: skip
def test_options_out_of_range_are_422(http: httpx2.Client, params: dict[str, Any]) -> None:
    analyze(http, "spliced.flac", 422, **params)


@pytest.mark.parametrize("params", [{"chunk_duration": 1.0, "overlap": 0.9}, {"chunk_duration": 30.0}])
def test_the_ends_of_the_ranges_are_accepted(http: httpx2.Client, params: dict[str, Any]) -> None:
    assert analyze(http, "en_m3.flac", **params)["total_chunks"] >= 1


def test_a_recording_shorter_than_a_chunk_is_one_chunk(http: httpx2.Client) -> None:
    assert analyze(http, "en_m3.flac", chunk_duration=30.0)["total_chunks"] == 1
