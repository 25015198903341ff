"""Events of a streamed answer are typed, in order, and end with the error of the question if it has one."""

import asyncio
import json
from typing import Any

import httpx2
import pytest

from voxgraph import AsyncClient, Client, errors
from voxgraph.client.events import Done, Event, OtherEvent
from voxgraph.results import Progress, Received, TaskAnswer, TaskFailure

Events = list[tuple[str, Any]]

LANGUAGE = {"language": "de", "name": "German", "confidence": 0.9, "probabilities": {"de": 0.9}}
EVENTS = [
    ("received", {"audio_duration": 30.0, "colour": "red"}),
    ("progress", {"task": "diarization", "done_s": 16.0, "audio_s": 30.0}),
    ("language", LANGUAGE),
    ("weather", {"mild": True}),
    ("task_error", {"task": "accent", "detail": "Gone.", "error_type": "x", "code": "model_unavailable"}),
]
DONE = ("done", {"processing_time": 1.5, "audio_duration": 30.0, "quality": {}})
ERROR = ("error", {"detail": "Why.", "code": "audio_too_short", "request_id": "r1", "error_type": "x"})


def transport(events: Events, seen: list[httpx2.Request]) -> httpx2.MockTransport:
    lines = [json.dumps({"event": name, "data": data}) for name, data in events]

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, text="\n".join([*lines, "", ""]), headers={"x-request-id": "r0"})

    return httpx2.MockTransport(answer)


def received(
    of: type, events: list[tuple[str, Any]], seen: list[httpx2.Request] | None = None
) -> list[Event]:
    sent = transport(events, [] if seen is None else seen)
    if of is Client:
        return list(Client(transport=sent).analyze_events(b"RIFF", tasks=("language", "accent")))

    async def coroutine() -> list[Event]:
        async with AsyncClient(transport=sent) as client:
            return [event async for event in client.analyze_events(b"RIFF", tasks=("language", "accent"))]

    return asyncio.run(coroutine())


@pytest.mark.parametrize("of", [Client, AsyncClient])
def test_every_event_has_its_record(of: type) -> None:
    seen: list[httpx2.Request] = []

    start, progress, answer, other, failure, end = received(of, [*EVENTS, DONE], seen)

    assert start == Received(30.0)
    assert progress == Progress("diarization", 16.0, 30.0)
    assert isinstance(answer, TaskAnswer)
    assert (answer.task, answer.result.name) == ("language", "German")
    assert other == OtherEvent("weather", {"mild": True})
    assert isinstance(failure, TaskFailure)
    assert isinstance(failure.error, errors.ModelUnavailable)
    assert end == Done(30.0, 1.5)
    assert seen[0].headers["accept"] == "application/x-ndjson"
    assert seen[0].url.params["tasks"] == "language,accent"


@pytest.mark.parametrize("of", [Client, AsyncClient])
def test_an_error_of_the_whole_question_is_raised(of: type) -> None:
    with pytest.raises(errors.AudioTooShort, match="Why") as raised:
        received(of, [EVENTS[0], ERROR])

    assert raised.value.request_id == "r1"
