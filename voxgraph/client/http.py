"""Clients of a server over HTTP: `Client`, and `AsyncClient` for coroutines.

The methods are made of the functions of `voxgraph.client.questions`, which know the requests and the answers,
and `voxgraph.client.sending` decides what is sent and how often; here are only the two ways to send and wait.
"""

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx2

import voxgraph
from voxgraph.client import questions
from voxgraph.client.failures import REQUEST_ID_HEADER, Deadline, parsed
from voxgraph.client.gallery_group import AsyncGalleries, Galleries
from voxgraph.client.questions import Question
from voxgraph.client.sending import attempts, broken_streams_translated, is_answer
from voxgraph.client.settings import api_key as find_api_key
from voxgraph.client.settings import server_url

T = TypeVar("T")
P = ParamSpec("P")

MAX_RETRIES = 3
"""How often a request is sent again, by default."""


def _asked(build: Callable[P, Question[T]]) -> Callable[Concatenate["Client", P], T]:
    """Make a method that asks a question and returns its answer."""

    @functools.wraps(build)
    def method(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.ask(build(*args, **kwargs))

    return method


def _streamed(build: Callable[P, Question[T]]) -> Callable[Concatenate["Client", P], Iterator[T]]:
    """Make a method that asks a question and iterates over its streamed answer."""

    @functools.wraps(build)
    def method(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return self.stream(build(*args, **kwargs))

    return method


def _awaited(build: Callable[P, Question[T]]) -> Callable[Concatenate["AsyncClient", P], Awaitable[T]]:
    @functools.wraps(build)
    def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        return self.ask(build(*args, **kwargs))

    return method


def _async_streamed(
    build: Callable[P, Question[T]],
) -> Callable[Concatenate["AsyncClient", P], AsyncIterator[T]]:
    @functools.wraps(build)
    def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        return self.stream(build(*args, **kwargs))

    return method


class Client:
    """Blocking client of a server; threads may share it.

    Every method takes ``timeout_s``, the seconds that the question may take with all repetitions, and raises
    the classes of `voxgraph.errors` with ``request_id``. A request is sent again after a broken connection,
    429 and 503, unless its recording is a stream that cannot be read twice, or galleries that do not answer
    may have done what can be done once only.

    Args:
        url: Address of the server. None: ``VOXGRAPH_URL``, or that of `make serve`.
        api_key: Sent as a bearer token. None: ``VOXGRAPH_API_KEY``, or the content of the file that
            ``VOXGRAPH_API_KEY_FILE`` names, which only its owner may read.
        max_retries: How often a request is sent again, at most.
        transport: How requests are sent, instead of over a network.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        max_retries: int = MAX_RETRIES,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._http = httpx2.Client(transport=transport, **_settings(url, api_key))
        self.galleries = Galleries(self)
        """Galleries of voices."""
        self._max_retries = max_retries

    def ask(self, question: Question[T]) -> T:
        """Ask a question of `voxgraph.client.questions` and return its answer."""
        response = self._answer(question, stream=False)
        return parsed(question.parse, response.content, response.headers.get(REQUEST_ID_HEADER))

    def stream(self, question: Question[T]) -> Iterator[T]:
        """Ask a question with a streamed answer; closing the iterator ends the work in the server."""
        deadline = Deadline(question.timeout_s)
        response = self._answer(question, stream=True, deadline=deadline)
        with broken_streams_translated(response, deadline):
            try:
                for line in response.iter_lines():
                    deadline.remaining()
                    if line.strip():
                        yield parsed(question.parse, line, response.headers.get(REQUEST_ID_HEADER))
            finally:
                response.close()

    def _answer(
        self, question: Question[Any], *, stream: bool, deadline: Deadline | None = None
    ) -> httpx2.Response:
        """Send a question until it has an answer, and return that; raise the error of the last try."""
        deadline = deadline or Deadline(question.timeout_s)
        with attempts(self._http, question, deadline, self._max_retries) as next_attempt:
            while True:
                with next_attempt() as attempt:
                    response = self._http.send(attempt.request, stream=stream)
                    if is_answer(question, response):
                        return response
                    response.read()
                    attempt.refused(response)
                time.sleep(attempt.pause_s)

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    detect_language = _asked(questions.detect_language)
    embed = _asked(questions.embed)
    compare = _asked(questions.compare)
    compare_embedding = _asked(questions.compare_embedding)
    find_match = _asked(questions.find_match)
    identify_accent = _asked(questions.identify_accent)
    diarize = _asked(questions.diarize)
    detect_deepfake = _asked(questions.detect_deepfake)
    analyze = _asked(questions.analyze)
    health = _asked(questions.health)
    info = _asked(questions.info)
    analyze_events = _streamed(questions.analyze_events)
    diarize_events = _streamed(questions.diarize_events)
    analyze_many = _streamed(questions.analyze_many)


class AsyncClient:
    """Client of a server for coroutines, with the arguments, methods and errors of `Client`.

    A question that is cancelled closes its connection, which ends the work in the server.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        max_retries: int = MAX_RETRIES,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx2.AsyncClient(transport=transport, **_settings(url, api_key))
        self.galleries = AsyncGalleries(self)
        """Galleries of voices."""
        self._max_retries = max_retries

    async def ask(self, question: Question[T]) -> T:
        """Ask a question of `voxgraph.client.questions` and return its answer."""
        response = await self._answer(question, stream=False)
        return parsed(question.parse, response.content, response.headers.get(REQUEST_ID_HEADER))

    async def stream(self, question: Question[T]) -> AsyncIterator[T]:
        """Ask a question with a streamed answer; closing the iterator ends the work in the server."""
        deadline = Deadline(question.timeout_s)
        response = await self._answer(question, stream=True, deadline=deadline)
        with broken_streams_translated(response, deadline):
            try:
                async for line in response.aiter_lines():
                    deadline.remaining()
                    if line.strip():
                        yield parsed(question.parse, line, response.headers.get(REQUEST_ID_HEADER))
            finally:
                await response.aclose()

    async def _answer(
        self, question: Question[Any], *, stream: bool, deadline: Deadline | None = None
    ) -> httpx2.Response:
        deadline = deadline or Deadline(question.timeout_s)
        with attempts(self._http, question, deadline, self._max_retries) as next_attempt:
            while True:
                with next_attempt() as attempt:
                    response = await self._http.send(attempt.request, stream=stream)
                    if is_answer(question, response):
                        return response
                    await response.aread()
                    attempt.refused(response)
                await asyncio.sleep(attempt.pause_s)

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    detect_language = _awaited(questions.detect_language)
    embed = _awaited(questions.embed)
    compare = _awaited(questions.compare)
    compare_embedding = _awaited(questions.compare_embedding)
    find_match = _awaited(questions.find_match)
    identify_accent = _awaited(questions.identify_accent)
    diarize = _awaited(questions.diarize)
    detect_deepfake = _awaited(questions.detect_deepfake)
    analyze = _awaited(questions.analyze)
    health = _awaited(questions.health)
    info = _awaited(questions.info)
    analyze_events = _async_streamed(questions.analyze_events)
    diarize_events = _async_streamed(questions.diarize_events)
    analyze_many = _async_streamed(questions.analyze_many)


def _settings(url: str | None, api_key: str | None) -> dict[str, Any]:
    """Return the settings of httpx2's clients."""
    headers = {"user-agent": f"voxgraph/{voxgraph.__version__}"}
    if (key := find_api_key(api_key)) is not None:
        headers["authorization"] = f"Bearer {key}"
    return {"base_url": server_url(url), "headers": headers}
