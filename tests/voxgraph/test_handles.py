"""The typed facade: it asks what the ingress answers, and does not let go of a call that it gave up."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from deployments.ingress import Ingress
from voxgraph.errors import DeadlineExceeded
from voxgraph.handles import AsyncVoxgraph, Voxgraph
from voxgraph.results import LanguageResult

CLIP = np.zeros(16_000, np.float32)
GERMAN = LanguageResult("de", "German", 1.0, {"de": 1.0})


CALLERS = {"timeout_s", "on_progress"}
NO_QUESTIONS = {"check_health", "reconfigure", "diarize_with_progress"}
"""Serve asks the first two; the third is how `diarize` hears of progress."""


def questions(cls: type) -> dict[str, Callable[..., Any]]:
    """The public methods of a class of ours that callers ask, by name."""
    return {
        name: method
        for name, method in inspect.getmembers(cls, inspect.isfunction)
        if method.__module__.startswith(("deployments.", "voxgraph."))
        and not (name.startswith("_") or name in NO_QUESTIONS)
    }


def asked(method: Callable[..., Any]) -> inspect.Signature:
    """The signature without the seconds to wait and who is told progress, which the caller's side adds."""
    signature = inspect.signature(method)
    kept = [parameter for name, parameter in signature.parameters.items() if name not in CALLERS]
    return signature.replace(parameters=kept)


@pytest.mark.parametrize("facade", [Voxgraph, AsyncVoxgraph])
def test_the_facade_has_the_questions_of_the_ingress(facade: type) -> None:
    assert set(questions(facade)) == set(questions(Ingress))


@pytest.mark.parametrize("facade", [Voxgraph, AsyncVoxgraph])
@pytest.mark.parametrize("name", questions(Ingress))
def test_a_question_has_the_types_of_the_ingress_and_a_time_to_wait(facade: type, name: str) -> None:
    method = questions(facade)[name]

    assert asked(method) == asked(questions(Ingress)[name])
    wait = inspect.signature(method).parameters["timeout_s"]
    assert wait.kind is inspect.Parameter.KEYWORD_ONLY
    is_async = inspect.iscoroutinefunction(method) and not hasattr(method, "__wrapped__")
    assert is_async == (facade is AsyncVoxgraph)


class Answer:
    """What ``handle.method.remote(...)`` returns, answered after some seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.cancelled = False

    def __await__(self) -> Any:
        return self._wait().__await__()

    async def _wait(self) -> LanguageResult:
        await asyncio.sleep(self.seconds)
        return GERMAN

    def cancel(self) -> None:
        self.cancelled = True


class Handle:
    """The ingress's handle; keeps what it was asked."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.answer = Answer(seconds)
        self.asked: list[tuple[Any, ...]] = []

    def __getattr__(self, question: str) -> Any:
        class Method:
            def remote(_, *arguments: Any) -> Answer:  # noqa: N805
                self.asked.append((question, *arguments))
                return self.answer

        return Method()


def test_plain_code_gets_the_answer() -> None:
    handle = Handle()

    assert Voxgraph(handle).detect_language(CLIP) == GERMAN
    assert handle.asked == [("detect_language", CLIP)]


async def test_a_coroutine_gets_the_answer() -> None:
    assert await AsyncVoxgraph(Handle()).detect_language(CLIP) == GERMAN


def test_a_call_that_takes_too_long_is_cancelled() -> None:
    handle = Handle(seconds=30)

    with pytest.raises(DeadlineExceeded):
        Voxgraph(handle).detect_language(CLIP, timeout_s=0.05)

    assert handle.answer.cancelled
