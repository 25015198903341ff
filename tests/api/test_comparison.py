"""What the endpoints that compare two recordings say about their similarity."""

import json
from typing import Any

import clips
import httpx2
import pytest

from voxgraph.calibration import SpeakerCalibration

WAV = clips.soundfile_bytes(clips.tone(1.0), 16_000, "WAV", "PCM_16")
PAIR = {"file1": ("1.wav", WAV), "file2": ("2.wav", WAV)}
STORED = {"audio": ("1.wav", WAV), "embedding": ("e.json", json.dumps([1.0] * 192).encode())}
CALIBRATION = SpeakerCalibration(slope=20.0, intercept=-8.0)
PATHS = [("/compare", PAIR), ("/compare_embedding", STORED), ("/v1/speaker/compare", PAIR)]


async def post(client: httpx2.AsyncClient, path: str, files: Any, **options: Any) -> dict[str, Any]:
    response = await client.post(path, files=files, data=options)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


@pytest.mark.parametrize(("path", "files"), PATHS)
async def test_a_calibrated_encoder_answers_a_ratio_and_a_probability_at_its_prior(
    client: httpx2.AsyncClient, analyzer: Any, path: str, files: Any
) -> None:
    analyzer.calibration = CALIBRATION

    answer = await post(client, path, files)

    assert answer["calibrated"] is True
    assert answer["llr"] == pytest.approx(20 * answer["similarity_score"] - 8)
    assert answer["calibrated_threshold"] == pytest.approx(0.4)
    assert answer["prior"] == 0.5
    assert (answer["probability"] > 0.5) == (answer["llr"] > 0)


@pytest.mark.parametrize(("path", "files"), PATHS)
async def test_an_encoder_without_calibration_says_so(
    client: httpx2.AsyncClient, path: str, files: Any
) -> None:
    answer = await post(client, path, files)

    assert answer["calibrated"] is False
    assert answer["llr"] is answer["probability"] is answer["calibrated_threshold"] is None


@pytest.mark.parametrize(("path", "files"), PATHS)
async def test_only_the_new_endpoint_takes_the_threshold_of_the_calibration_by_default(
    client: httpx2.AsyncClient, analyzer: Any, path: str, files: Any
) -> None:
    before = await post(client, path, files)
    analyzer.calibration = CALIBRATION
    after, explicit = await post(client, path, files), await post(client, path, files, threshold="0.3")

    is_new = path.startswith("/v1/")
    assert before["threshold"] == 0.25
    assert after["threshold"] == pytest.approx(0.4 if is_new else 0.25)
    assert explicit["threshold"] == 0.3


async def test_a_threshold_out_of_range_is_refused(client: httpx2.AsyncClient) -> None:
    response = await client.post("/v1/speaker/compare", files=PAIR, data={"threshold": "1.5"})

    assert response.status_code == 422
    assert "threshold" in response.json()["detail"]
