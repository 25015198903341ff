"""Streamed answers of the real graph: through HAProxy, by handle, and ended by a client that leaves."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import numpy as np
import pytest
import soundfile
from clips import soundfile_bytes
from launched import ROOT, Launched

from voxgraph.handles import Voxgraph
from voxgraph.results import SAMPLE_RATE_HZ, Progress, Received, TaskAnswer, TaskFailure

CONVERSATION = ROOT / "tests" / "data" / "conversation.flac"
TASKS = ["language", "speaker", "accent", "diarization", "deepfake"]
VOLATILE = ("processing_time",)
QUIET_AFTER_S = 4.0
"""Seconds after which no part that was in flight still runs."""


def repeated(seconds: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return a conversation of some length, cut from one that is repeated."""
    samples, rate = soundfile.read(CONVERSATION, dtype="float32")
    assert rate == SAMPLE_RATE_HZ
    return np.resize(samples, int(seconds * SAMPLE_RATE_HZ))


def recording(seconds: float) -> bytes:
    return soundfile_bytes(repeated(seconds), SAMPLE_RATE_HZ, "FLAC", "PCM_16")


def lines(response: httpx2.Response) -> Iterator[dict[str, Any]]:
    for line in response.iter_lines():
        yield json.loads(line)


def about(answer: Any) -> Any:
    """Return an answer that equals those whose numbers differ by rounding, as those of another batch do."""
    if isinstance(answer, dict):
        return {name: about(value) for name, value in answer.items()}
    if isinstance(answer, list):
        return [about(value) for value in answer]
    return pytest.approx(answer, rel=1e-4, abs=1e-6) if isinstance(answer, float) else answer


def test_the_streamed_answers_are_those_of_the_json_answer(http: httpx2.Client) -> None:
    upload = {"file": ("c.flac", CONVERSATION.read_bytes())}
    answer = http.post("/v1/analyze", files=upload).json()
    with http.stream(
        "POST", "/v1/analyze", files=upload, headers={"accept": "application/x-ndjson"}
    ) as response:
        events = list(lines(response))

    data = {event["event"]: event["data"] for event in events}
    assert {task: data[task] for task in TASKS} == {task: about(answer[task]) for task in TASKS}
    assert (events[0]["event"], events[-1]["event"]) == ("received", "done")


def test_events_come_while_the_work_goes_on(http: httpx2.Client) -> None:
    asked: dict[str, Any] = {
        "files": {"file": recording(120)}, "params": {"tasks": "language,diarization,deepfake"},
        "headers": {"accept": "text/event-stream"},
    }  # fmt: skip
    seen: dict[str, float] = {}
    done: dict[str, list[float]] = {"diarization": [], "deepfake": []}
    with http.stream("POST", "/v1/analyze", **asked) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        name = ""
        for line in response.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
                seen.setdefault(name, time.monotonic())
            if name == "progress" and line.startswith("data: "):
                data = json.loads(line.removeprefix("data: "))
                done[data["task"]].append(data["done_s"])

    assert next(iter(seen)) == "received"
    assert list(seen)[-1] == "done"
    assert seen["done"] - seen["received"] > 0.2  # not all at once
    for task in done:
        assert done[task] == sorted(done[task])
        assert done[task][-1] == 120.0
        assert len(done[task]) > 2


def test_a_handle_yields_the_same_events(service: Launched) -> None:
    with service.driver():
        graph = Voxgraph.connect()
        waveform = repeated(60)
        events = list(graph.analyze_events(waveform, ("language", "diarization")))
        whole = graph.analyze(waveform, ("language", "diarization"))

    assert events[0] == Received(60.0)
    assert [event.done_s for event in events if isinstance(event, Progress)][-1] == 60.0
    assert not [event for event in events if isinstance(event, TaskFailure)]
    answers = {event.task: event.result for event in events if isinstance(event, TaskAnswer)}
    assert answers == {"language": whole.language, "diarization": whole.diarization}


def cpu_s(service: Launched) -> float:
    """Return the CPU seconds that the replicas of the diarization have used."""
    times = [process.cpu_times() for process in service.replicas("Diarization")]
    return sum(each.user + each.system for each in times)


def test_a_client_that_leaves_stops_the_work_in_the_replicas(http: httpx2.Client, service: Launched) -> None:
    started = time.monotonic()
    asked: dict[str, Any] = {"files": {"file": recording(1800)}, "params": {"stream": "true"}}
    with http.stream("POST", "/diarize", **asked) as response:
        progress = next(line["data"] for line in lines(response) if line["event"] == "progress")
    needed_s = (time.monotonic() - started) * 1800 / progress["done_s"]
    assert needed_s > QUIET_AFTER_S + 2  # the work would still go on

    time.sleep(QUIET_AFTER_S)
    before = cpu_s(service)
    time.sleep(2)
    assert cpu_s(service) - before < 0.5
