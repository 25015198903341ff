"""The official SDK of pyannoteAI, pointed at the graph, diarizes a file."""

import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from launched import ROOT, Launched
from pyannoteai.sdk import Client
from pyannoteai.sdk.client import PyannoteAIFailedJob
from requests.exceptions import HTTPError

CONVERSATION = ROOT / "tests" / "data" / "conversation.flac"
(EXAMPLE,) = re.findall(
    r"```python\n(from pyannoteai.*?)```", (ROOT / "docs" / "migration.md").read_text(), re.DOTALL
)


@pytest.fixture
def sdk(service: Launched, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(Client, "API_URL", f"{service.url}/v1")
    return Client(token="any")


def test_the_example_of_the_page_prints_the_turns(service: Launched, http: httpx2.Client) -> None:
    code = EXAMPLE.replace("http://127.0.0.1:8000", service.url)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    files = {"file": ("c.flac", CONVERSATION.read_bytes())}
    turns = http.post("/diarize", files=files, params={"num_speakers": 2}).json()["diarization_results"]

    assert [line.split() for line in done.stdout.splitlines()] == [
        [str(turn["start"]), str(turn["end"]), turn["speaker"]] for turn in turns
    ]


@pytest.mark.filterwarnings("ignore")
def test_the_job_is_found_from_every_ingress(sdk: Client, service: Launched) -> None:
    job = sdk.diarize(sdk.upload(CONVERSATION, "media://tests/c.flac"), exclusive=True)
    output = sdk.retrieve(job, every_seconds=1)["output"]
    answers = [httpx2.get(f"{service.url}/v1/jobs/{job}").json() for _ in range(12)]

    assert all(answer["output"] == output for answer in answers)
    ends = [turn["end"] for turn in output["exclusiveDiarization"]]
    starts = [turn["start"] for turn in output["exclusiveDiarization"]]
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))
    assert "for an hour" in output["warning"]


@pytest.mark.filterwarnings("ignore")
def test_the_sdk_raises_what_the_service_says(sdk: Client, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no recording")
    with pytest.raises(PyannoteAIFailedJob, match="not a recording in a supported container"):
        sdk.retrieve(sdk.diarize(sdk.upload(tmp_path / "notes.txt")), every_seconds=1)
    with pytest.raises(HTTPError, match="422"):
        sdk.diarize("https://example.com/a.wav")
    with pytest.raises(HTTPError, match="404"):
        sdk.retrieve("unknown")
