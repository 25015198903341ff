"""Streamed answers: what happens to a recording's questions, as server-sent events or lines of JSON.

The status is 200 when the first event is sent, so that later errors are events. What can be refused at once
is refused before, with an ordinary status.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from deployments.api.errors import INTERNAL_ERROR, error_answer, error_type, vox_error_answer
from deployments.api.negotiation import EVENTS, STREAMS, VARY
from deployments.api.schemas.events import DoneData, ProgressData, ReceivedData, TaskErrorData
from deployments.api.upload import Upload
from voxgraph.errors import NoSpeech, VoxError
from voxgraph.results import AnalysisEvent, Progress, Received, TaskAnswer, TaskFailure

log = logging.getLogger("ray.serve")

PING_INTERVAL_S = 15.0
"""Seconds of silence after which a comment tells proxies that the stream of events is alive."""
HEADERS = VARY | {"cache-control": "no-store", "x-accel-buffering": "no"}
"""Tell caches, nginx, and proxies that understand its header, to pass each event on when it comes."""

Payload = tuple[str, BaseModel]
"""Name and data of an event."""
Answers = Callable[[TaskAnswer], BaseModel]
"""Makes the object of the JSON answer of a task's result."""


class _ClosingResponse(StreamingResponse):
    """A streamed response that closes its generator when the client has gone, and so cancels the work."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream; Starlette cancels it when the client disconnects."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            if isinstance(self.body_iterator, AsyncGenerator):
                await self.body_iterator.aclose()


async def streamed(
    request: Request,
    chosen: str,
    upload: Upload,
    events: AsyncGenerator[AnalysisEvent],
    answers: Answers,
    extras: Sequence[Payload] = (),
    *,
    exclude_none: bool = False,
) -> StreamingResponse:
    """Stream the events of an analysis, in one of `STREAMS`.

    Args:
        request: The request, whose id is in the event ``error``.
        chosen: Name of the stream's format.
        upload: The recording, decoded; its reserved memory is released at the end.
        events: Of `voxgraph.analyzer.Analyzer.analyze_events`.
        answers: Makes the data of a task's event.
        extras: Events that follow the first.
        exclude_none: Whether fields without a value are left out, as in the JSON answer.

    Raises:
        VoxError: The recording or the options cannot be taken; nothing has been sent.
    """
    first = await anext(events)
    payloads = _payloads(request, upload, first, events, answers, extras)
    texts = _texts(payloads, exclude_none)
    chunks = _as_events(texts) if chosen == EVENTS else _as_lines(texts)
    return _ClosingResponse(chunks, media_type=STREAMS[chosen], headers=HEADERS)


async def _payloads(
    request: Request,
    upload: Upload,
    first: AnalysisEvent,
    events: AsyncGenerator[AnalysisEvent],
    answers: Answers,
    extras: Sequence[Payload],
) -> AsyncGenerator[Payload]:
    """Yield the name and the data of each event; errors of the whole analysis end it with ``error``."""
    speech_s: float | None = None
    try:
        async with aclosing(events):
            yield _payload(first, answers)
            for extra in extras:
                yield extra
            async for event in events:
                speech_s = _speech_s(event, speech_s)
                yield _payload(event, answers)
        yield (
            "done",
            DoneData(
                processing_time=upload.processing_time,
                audio_duration=upload.audio_duration,
                quality=upload.quality(speech_s),
            ),
        )
    except VoxError as error:
        yield "error", vox_error_answer(request, error)
    except Exception:
        log.exception("The streamed answer to request %s failed", upload.request_id)
        yield "error", error_answer(request, INTERNAL_ERROR, "ProcessingError", "internal")
    finally:
        upload.release()


def _speech_s(event: AnalysisEvent, known_s: float | None) -> float | None:
    """Return the seconds of speech that are known after an event; those of the turns come second."""
    match event:
        case TaskFailure(error=NoSpeech()):
            return 0.0
        case TaskAnswer() if known_s is None or event.task != "diarization":
            found: float | None = event.result.speech_s
            return found
    return known_s


def _payload(event: AnalysisEvent, answers: Answers) -> Payload:
    match event:
        case Received():
            return "received", ReceivedData(audio_duration=event.audio_duration_s)
        case Progress():
            return "progress", ProgressData(task=event.task, done_s=event.done_s, audio_s=event.audio_s)
        case TaskAnswer():
            return event.task, answers(event)
        case TaskFailure():
            error = event.error
            return "task_error", TaskErrorData(
                task=event.task, detail=error.detail, error_type=error_type(error), code=error.code
            )


async def _texts(payloads: AsyncGenerator[Payload], exclude_none: bool) -> AsyncGenerator[tuple[str, str]]:
    """Yield the name and the JSON of each event."""
    async with aclosing(payloads):
        async for name, data in payloads:
            yield name, data.model_dump_json(exclude_none=exclude_none)


async def _as_lines(texts: AsyncGenerator[tuple[str, str]]) -> AsyncGenerator[bytes]:
    """Write NDJSON."""
    async with aclosing(texts):
        async for name, data in texts:
            yield f'{{"event":"{name}","data":{data}}}\n'.encode()


async def _as_events(texts: AsyncGenerator[tuple[str, str]]) -> AsyncGenerator[bytes]:
    """Write server-sent events, and a comment after each `PING_INTERVAL_S` of silence."""
    waiting: asyncio.Future[tuple[str, str]] | None = None
    async with aclosing(texts):
        try:
            while True:
                waiting = waiting or asyncio.ensure_future(anext(texts))
                if not (await asyncio.wait([waiting], timeout=PING_INTERVAL_S))[0]:
                    yield KEEPALIVE_COMMENT
                    continue
                try:
                    name, data = waiting.result()
                except StopAsyncIteration:
                    return
                waiting = None
                yield format_sse_event(event=name, data_str=data)
        finally:
            if waiting is not None:
                waiting.cancel()
                await asyncio.wait([waiting])
