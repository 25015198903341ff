"""The answer of each endpoint, field by field."""

from base64 import b64decode
from dataclasses import replace
from typing import Any

import clips
import httpx2
import numpy as np
import pytest

from deployments.api.schemas.analysis import AnalysisAnswer
from deployments.api.schemas.health import STARTER_NOTICE
from voxgraph.options import ChunkOptions, SpeakerCount
from voxgraph.results import AccentResult, GraphHealth, ModelInfo, OperatingPoints

WAV = clips.soundfile_bytes(clips.tone(3.5, 8_000, 2), 8_000, "WAV", "PCM_16")
ENDPOINTS = [
    "/detect-language", "/extract-embedding", "/embedding", "/identify", "/classify-us-accent", "/diarize",
    "/audio/analyze-audio", "/v1/analyze",
]  # fmt: skip


async def post(client: httpx2.AsyncClient, path: str, **options: Any) -> dict[str, Any]:
    response = await client.post(path, files={"file": ("a.wav", WAV, "audio/wav")}, **options)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_the_analyzer_gets_float32_samples_at_16_khz(client: httpx2.AsyncClient, analyzer: Any) -> None:
    await post(client, "/detect-language")

    assert analyzer.waveform.dtype == np.float32
    assert len(analyzer.waveform) == 3.5 * 16_000


async def test_language_lists_the_five_most_probable(client: httpx2.AsyncClient) -> None:
    answer = await post(client, "/detect-language")

    assert answer.pop("quality")
    assert answer == {
        "success": True, "language": "ja", "name": "Japanese", "confidence": 0.75,
        "probabilities": {"ja": 0.75, "ko": 0.15, "zh": 0.04, "th": 0.03, "vi": 0.02},
        "calibrated": False, "uncertain": False, "warning": None,
    }  # fmt: skip


async def test_an_embedding_names_its_encoder_and_language(client: httpx2.AsyncClient) -> None:
    answer = await post(client, "/extract-embedding")

    embedding = answer.pop("embedding")
    assert answer.pop("quality")
    assert answer == {
        "success": True, "embedding_size": 192, "language": "ja", "language_name": "Japanese",
        "confidence": 0.75, "model": "LanceaKing/spkrec-ecapa-cnceleb", "revision": "abc",
    }  # fmt: skip
    assert embedding == pytest.approx(np.linspace(-1, 1, 192).tolist())


@pytest.mark.parametrize("where", ["params", "data"])
async def test_options_are_read_from_the_query_and_the_form(client: httpx2.AsyncClient, where: str) -> None:
    unit = await post(client, "/embedding")
    raw = await post(client, "/embedding", **{where: {"normalize": "false"}})

    assert (unit["normalized"], raw["normalized"]) == (True, False)
    assert np.linalg.norm(unit["embedding"]) == pytest.approx(1, abs=1e-6)
    assert raw["embedding"][0] == -1
    assert raw["audio_duration"] == 3.5


async def test_us_confidence_is_a_percentage_and_the_only_field(client: httpx2.AsyncClient) -> None:
    assert await post(client, "/identify") == {"us_confidence": 85.67}
    assert await post(client, "/classify-us-accent") == {"us_confidence": 85.7}


async def test_us_confidence_is_zero_for_another_accent(client: httpx2.AsyncClient, analyzer: Any) -> None:
    analyzer.accent = AccentResult("wales", 0.6, 0.0, {"wales": 0.6, "us": 0.4})

    answer = await post(client, "/identify", params={"detail": "true"})

    assert answer.pop("quality")
    assert answer == {
        "us_confidence": 0.0, "accent": "wales", "confidence": 0.6,
        "probabilities": {"wales": 0.6, "us": 0.4}, "calibrated": False,
    }  # fmt: skip


async def test_turns_shorter_than_min_duration_are_left_out(
    client: httpx2.AsyncClient, analyzer: Any
) -> None:
    answer = await post(client, "/diarize", data={"min_speakers": "2", "min_duration": "0.5"})

    assert answer["diarization_results"] == [
        {"start": 0.5, "end": 2.0, "speaker": "SPEAKER_00", "confidence": 0.912},
        {"start": 2.5, "end": 3.25, "speaker": "SPEAKER_01", "confidence": None},
    ]
    assert answer["segments_count"] == 2
    assert analyzer.speakers == SpeakerCount(min_speakers=2)
    assert (answer["speakers_requested"], answer["speakers_note"]) == (2, None)


@pytest.mark.parametrize("path", ["/diarize", "/v1/analyze"])
async def test_turns_do_not_overlap_on_request(client: httpx2.AsyncClient, path: str) -> None:
    answer = await post(client, path, params={"exclusive": "true"})

    found = answer if path == "/diarize" else answer["diarization"]
    assert [turn["start"] for turn in found["diarization_results"]] == [0.5, 2.5]
    assert found["segments_count"] == 2


@pytest.mark.parametrize("path", ["/diarize", "/v1/analyze"])
async def test_voices_and_frames_of_speakers_are_added_on_request(
    client: httpx2.AsyncClient, path: str
) -> None:
    plain = await post(client, path)
    asked = {"embeddings": "true", "frames": "true", "names": '{"SPEAKER_00": "Ann"}'}
    answer = await post(client, path, params=asked)

    if path == "/v1/analyze":
        plain, answer = plain["diarization"], answer["diarization"]
    assert plain.get("speaker_embeddings") is plain.get("frame_confidence") is None
    assert set(answer["speaker_embeddings"]) == {"Ann", "SPEAKER_01"}
    voice = answer["speaker_embeddings"]["Ann"]
    assert (len(voice["embedding"]), voice["model"], voice["revision"]) == (192, "some/encoder", "abc")
    frames = answer["frame_confidence"]
    assert (frames["start"], frames["step"]) == (0.031, 0.017)
    assert list(b64decode(frames["data"]["Ann"])) == [0, 128, 255]


async def test_voices_of_speakers_without_turns_are_left_out(client: httpx2.AsyncClient) -> None:
    asked = {"embeddings": "true", "frames": "true", "min_duration": "1"}
    answer = await post(client, "/diarize", params=asked)

    assert answer["speakers"] == ["SPEAKER_00"]
    assert set(answer["speaker_embeddings"]) == set(answer["frame_confidence"]["data"]) == {"SPEAKER_00"}


async def test_fewer_speakers_than_requested_are_explained(client: httpx2.AsyncClient) -> None:
    answer = await post(client, "/diarize", data={"num_speakers": "3"})
    alone = await post(client, "/diarize", data={"num_speakers": "2", "min_duration": "1.5"})

    assert answer["speakers_requested"] == 3
    assert answer["speakers_note"].startswith("Found 2 of 3 speakers:")
    assert alone["speakers"] == ["SPEAKER_00"]
    assert alone["speakers_note"] == (
        "All turns of 1 speaker are shorter than the requested minimum of 1.5 s."
    )


async def test_more_than_half_of_the_chunks_make_a_deepfake(
    client: httpx2.AsyncClient, analyzer: Any
) -> None:
    answer = await post(client, "/audio/analyze-audio", params={"chunk_duration": "4", "overlap": "0.25"})

    assert answer["is_deepfake"] is True
    assert answer["overall_confidence"] == pytest.approx(0.6)
    assert answer["chunks"][1] == {
        "chunk_index": 1, "start_time": 2.5, "end_time": 7.5, "is_ai_generated": False,
        "confidence": pytest.approx(0.8),
        "class_probabilities": {"ai_generated": pytest.approx(0.2), "real": pytest.approx(0.8)},
        "verdict": "inconclusive",
    }  # fmt: skip
    assert answer["summary"] == {
        "total_chunks": 3, "ai_generated_chunks": 2, "real_chunks": 1,
        "ai_generated_ratio": pytest.approx(2 / 3), "average_confidence": pytest.approx(0.8),
        "chunk_duration_seconds": 4.0, "overlap_ratio": 0.25,
    }  # fmt: skip
    assert analyzer.options == ChunkOptions(chunk_s=4, overlap=0.25)


@pytest.mark.parametrize(
    ("scores", "verdict", "is_deepfake"),
    [
        ((0.95, 0.96, 0.02), "ai_generated", True),
        ((0.95, 0.02, 0.02), "inconclusive", False),
        ((0.7, 0.02, 0.02), "no_sign_found", False),
        ((0.7, 0.7, 0.7), "inconclusive", False),
        ((0.9, 0.1), "inconclusive", False),
    ],
)
async def test_a_recording_is_generated_or_inconclusive_or_shows_no_sign_but_never_real(
    scores: tuple[float, ...], verdict: str, is_deepfake: bool, client: httpx2.AsyncClient, analyzer: Any
) -> None:
    analyzer.scores, analyzer.points = scores, OperatingPoints(0.9, 0.1, fitted=True)

    answer = await post(client, "/audio/analyze-audio")

    assert (answer["verdict"], answer["is_deepfake"]) == (verdict, is_deepfake)
    assert answer["operating_points"] == {"ai_generated": 0.9, "no_sign_found": 0.1, "fitted": True}
    for chunk, score in zip(answer["chunks"], scores, strict=True):
        assert chunk["is_ai_generated"] == (score > 0.9) == (chunk["verdict"] == "ai_generated")
        assert chunk["verdict"] in {"ai_generated", "inconclusive", "no_sign_found"}


async def test_the_advice_about_the_detector_is_in_every_answer(
    client: httpx2.AsyncClient, analyzer: Any
) -> None:
    analyzer.advice = "Ask a person."

    assert (await post(client, "/audio/analyze-audio"))["advice"] == "Ask a person."
    assert (await post(client, "/v1/analyze"))["deepfake"]["advice"] == "Ask a person."


async def test_exactly_half_of_the_chunks_make_no_deepfake(client: httpx2.AsyncClient, analyzer: Any) -> None:
    analyzer.scores = (0.9, 0.2)

    answer = await post(client, "/audio/analyze-audio")

    assert answer["is_deepfake"] is False
    assert answer["overall_confidence"] == pytest.approx(0.45)


async def test_analyze_leaves_out_tasks_that_were_not_requested(
    client: httpx2.AsyncClient, analyzer: Any
) -> None:
    answer = await post(client, "/v1/analyze", params={"tasks": "accent, language"})

    assert set(answer) == {"audio_duration", "processing_time", "quality", "accent", "language"}
    assert analyzer.tasks == ("accent", "language")
    assert set(await post(client, "/v1/analyze")) >= {"speaker", "diarization", "deepfake"}


async def test_the_recording_may_be_the_body_or_in_either_form_field(client: httpx2.AsyncClient) -> None:
    raw = await client.post("/detect-language", content=WAV, headers={"content-type": "audio/wav"})
    bare = await client.post("/detect-language", content=WAV)
    audio = await client.post("/detect-language", files={"audio": WAV})

    assert raw.json() == bare.json() == audio.json() == await post(client, "/detect-language")


async def test_health_names_the_sets_of_checkpoints_that_answer(
    client: httpx2.AsyncClient, analyzer: Any
) -> None:
    published = analyzer.graph_health.models["language"]
    starter = replace(published, source="starter")

    async def named(**models: ModelInfo) -> tuple[str, str | None]:
        analyzer.graph_health = GraphHealth(models=models)
        health = (await client.get("/health")).json()
        return health["checkpoints"], health["notice"]

    assert await named(language=published) == ("hub", None)
    assert await named(language=starter) == ("starter", STARTER_NOTICE)
    assert await named(language=starter, deepfake=published) == ("hub, starter", STARTER_NOTICE)
    assert await named() == ("none", None)


async def test_health_is_degraded_without_one_model_and_503_without_all(
    client: httpx2.AsyncClient, analyzer: Any
) -> None:
    healthy = await client.get("/health")
    assert (healthy.status_code, healthy.json()["status"]) == (200, "ok")

    analyzer.graph_health.failed["deepfake"] = "its file is missing"
    degraded = await client.get("/health")
    assert (degraded.status_code, degraded.json()["status"]) == (200, "degraded")
    assert degraded.json()["failed"] == {"deepfake": "its file is missing"}

    analyzer.graph_health = GraphHealth(failed={"deepfake": "its file is missing"})
    assert (await client.get("/health")).status_code == 503


async def test_the_index_lists_the_endpoints(client: httpx2.AsyncClient) -> None:
    answer = (await client.get("/")).json()

    assert {f"POST {path}" for path in ENDPOINTS} <= set(answer["endpoints"])


async def test_every_endpoint_is_documented_with_an_example_its_errors_and_its_file(
    client: httpx2.AsyncClient,
) -> None:
    document = (await client.get("/openapi.json")).json()

    for path in ENDPOINTS:
        operation = document["paths"][path]["post"]
        answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
        for schema in answer.get("anyOf", [answer]):
            assert document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]["examples"]
        assert {"400", "408", "413", "422", "500", "503"} <= set(operation["responses"])
        form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert form["properties"]["file"]["format"] == "binary"
        named = {parameter["name"] for parameter in operation.get("parameters", [])}
        assert named == set(form["properties"]) - {"file"}


async def test_only_configured_origins_get_cors_headers(client_of: Any) -> None:
    headers = {"origin": "https://ours.example"}

    allowed = await client_of(cors_origins=["https://ours.example"]).get("/health", headers=headers)
    default = await client_of().get("/health", headers=headers)

    assert allowed.headers["access-control-allow-origin"] == "https://ours.example"
    assert "access-control-allow-origin" not in default.headers


async def test_browsers_may_read_the_retry_timing_and_request_id_headers(client_of: Any) -> None:
    headers = {"origin": "https://ours.example"}

    answer = await client_of(cors_origins=["https://ours.example"]).get("/health", headers=headers)

    exposed = set(answer.headers["access-control-expose-headers"].split(", "))
    assert exposed == {"content-disposition", "retry-after", "server-timing", "x-request-id"}


async def test_an_analysis_without_its_empty_fields_is_still_one(client: httpx2.AsyncClient) -> None:
    """`/v1/analyze` leaves out fields that are null, so each of them must have a default."""
    answer = await post(client, "/v1/analyze")

    assert AnalysisAnswer.model_validate(answer).model_dump(exclude_none=True) == answer
