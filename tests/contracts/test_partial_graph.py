"""A model that fails to load disables its own endpoint and no other, on a real cluster."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import yaml
from launched import Launched, running
from recordings import post, wav
from small_checkpoints import small_graph

VOICE = "accent_us_m3.flac"


@pytest.fixture(scope="module")
def partial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    """Run the graph with an empty folder as the deepfake detector's checkpoint."""
    folder = tmp_path_factory.mktemp("partial")
    config = small_graph()
    config["applications"][0]["args"]["checkpoints"]["deepfake"]["source"] = str(folder)
    path: Path = folder / "partial.yaml"
    path.write_text(yaml.safe_dump(config))
    with running(path) as launched:
        yield launched


def test_the_endpoint_reports_the_cause_and_all_others_work(partial: Launched) -> None:
    with httpx2.Client(base_url=partial.url, timeout=120) as http:
        health = http.get("/health").json()
        assert health["status"] == "degraded"
        assert "config.json" in health["failed"]["deepfake"]

        refused = post(http, "/audio/analyze-audio", 503, files={"file": wav(VOICE)})
        assert refused["error_type"] == "ModelError"
        assert "config.json" in refused["detail"]
        status = http.get("/audio/model-status").json()
        assert (status["model_loaded"], status["status"]) == (False, "unavailable")
        assert "config.json" in status["detail"]
        assert http.get("/audio/model-info").status_code == 503

        for path in ("/detect-language", "/embedding", "/identify", "/classify-us-accent", "/diarize"):
            post(http, path, files={"file": wav(VOICE)})
        tasks = {"tasks": "language,speaker,accent,diarization"}
        assert set(tasks["tasks"].split(",")) <= set(
            post(http, "/v1/analyze", files={"file": wav(VOICE)}, data=tasks)
        )
