"""Ask a graph over HTTP about every clip, a few at a time."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import count

import httpx2
from pydantic import ValidationError

from deployments.api.schemas.analysis import AnalysisAnswer
from deployments.api.schemas.health import HealthAnswer
from evaluation.errors import GraphError
from evaluation.manifest import Clip
from evaluation.recordings import Upload
from voxgraph.options import Task

CONCURRENCY = 4
"""Default number of recordings in progress."""
BROKEN = (httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError)
"""Errors of a connection that a replica may have closed just when it was used again."""
BROKEN_RETRIES = 3
RETRIES = 8
RETRY_S, MAX_RETRY_S = 0.5, 10.0
"""Seconds before the first retry of a refused request, doubled each time, and their maximum."""


@dataclass(slots=True)
class Answered:
    """What the graph has answered about a clip."""

    clip: Clip
    answer: AnalysisAnswer
    """The answers to all tasks; None for those that were not asked or failed."""
    errors: dict[Task, str] = field(default_factory=dict)
    """Why a task has no answer."""

    @property
    def seconds(self) -> float:
        """Length of the clip as the graph has decoded it; 0.0 if it has not."""
        return self.answer.audio_duration


class Graph:
    """A running graph.

    Args:
        client: Its base URL is that of the graph.
    """

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    async def health(self) -> HealthAnswer:
        """Return which models are loaded; raises `GraphError` if there is no such graph."""
        response = await self._send("GET", "/health")
        try:
            return HealthAnswer.model_validate_json(response.content)
        except ValidationError as error:
            raise GraphError(f"{self._client.base_url} is not a graph of this version: {error}") from error

    async def ask(self, upload: Upload) -> Answered:
        """Ask all tasks at once; if that fails, each alone, so that one error does not cost all answers.

        Raises:
            GraphError: The graph does not answer any more.
        """
        clip, tasks = upload.request.clip, upload.request.tasks
        nothing = AnalysisAnswer(processing_time=0.0, audio_duration=0.0)
        if upload.error:
            return Answered(clip, nothing, dict.fromkeys(tasks, upload.error))
        answer, error = await self._analyze(upload.data, tasks)
        if answer is not None:
            return Answered(clip, answer)
        if len(tasks) == 1:
            return Answered(clip, nothing, {tasks[0]: error})
        answered = Answered(clip, nothing)
        for task in tasks:
            answer, error = await self._analyze(upload.data, (task,))
            if answer is None:
                answered.errors[task] = error
            else:
                found = {task: getattr(answer, task), "audio_duration": answer.audio_duration}
                answered.answer = answered.answer.model_copy(update=found)
        return answered

    async def _analyze(self, data: bytes, tasks: Sequence[Task]) -> tuple[AnalysisAnswer | None, str]:
        """Return the answer, or None and why there is none."""
        response = await self._send("POST", "/v1/analyze", content=data, params={"tasks": ",".join(tasks)})
        if response.status_code == HTTPStatus.OK:
            try:
                return AnalysisAnswer.model_validate_json(response.content), ""
            except ValidationError as error:
                raise GraphError(
                    f"{self._client.base_url} is not a graph of this version: {error}"
                ) from error
        try:
            body = response.json()
            return None, f"{body['code']}: {body['detail']}"
        except (ValueError, KeyError, TypeError):
            return None, f"status {response.status_code}"

    async def _send(self, method: str, path: str, **options: object) -> httpx2.Response:
        for attempt in count():
            try:
                response: httpx2.Response = await self._client.request(method, path, **options)  # type: ignore[arg-type]
            except BROKEN as error:
                if attempt == BROKEN_RETRIES:
                    raise GraphError(f"{self._client.base_url} breaks off: {error!r}") from error
                await asyncio.sleep(RETRY_S * 2**attempt)
                continue
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                raise GraphError(f"{self._client.base_url} does not answer: {error!r}") from error
            if attempt == RETRIES or not _is_overloaded(response):
                return response
            await asyncio.sleep(min(RETRY_S * 2**attempt, MAX_RETRY_S))
        raise AssertionError("unreachable")


def _is_overloaded(response: httpx2.Response) -> bool:
    """Whether the graph has refused a request because its queues are full."""
    if response.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
        return False
    with contextlib.suppress(ValueError):
        body = response.json()
        return isinstance(body, dict) and body.get("code") == "overloaded"
    return False


async def ask_all(
    graph: Graph, prepared: Iterator[Upload], concurrency: int, on_answer: Callable[[Answered], None]
) -> None:
    """Ask about all uploads, and hand over each answer when it is there.

    At most ``2 * concurrency`` recordings are in memory.

    Raises:
        GraphError: The graph does not answer any more.
    """
    waiting: asyncio.Queue[Upload | None] = asyncio.Queue(concurrency)

    async def prepare() -> None:
        while (upload := await asyncio.to_thread(next, prepared, None)) is not None:
            await waiting.put(upload)
        for _ in range(concurrency):
            await waiting.put(None)

    async def ask() -> None:
        while (upload := await waiting.get()) is not None:
            on_answer(await graph.ask(upload))

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(prepare())
            for _ in range(concurrency):
                tasks.create_task(ask())
    except* GraphError as group:
        raise group.exceptions[0] from None
