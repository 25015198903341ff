"""The Python clients have the methods of the ingress and cancel calls that time out."""

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


CLIENT_PARAMETERS = {"timeout_s", "on_progress"}
INTERNAL_METHODS = {"check_health", "reconfigure", "deadline_s", "ask_galleries", "gallery"}
"""Serve and the HTTP application call the first three; a gallery is asked through an object of its own."""


def public_methods(cls: type) -> dict[str, Callable[..., Any]]:
    """Return the public methods of a class of ours, by name."""
    return {
        name: method
        for name, method in inspect.getmembers(cls, inspect.isfunction)
        if method.__module__.startswith(("deployments.", "voxgraph."))
        and not (name.startswith("_") or name in INTERNAL_METHODS)
    }


def ingress_signature(method: Callable[..., Any]) -> inspect.Signature:
    """Return the signature without the parameters that only the clients have."""
    signature = inspect.signature(method)
    kept = [parameter for name, parameter in signature.parameters.items() if name not in CLIENT_PARAMETERS]
    return signature.replace(parameters=kept)


@pytest.mark.parametrize("client", [Voxgraph, AsyncVoxgraph])
def test_a_client_has_the_methods_of_the_ingress(client: type) -> None:
    assert set(public_methods(client)) == set(public_methods(Ingress))


@pytest.mark.parametrize("client", [Voxgraph, AsyncVoxgraph])
@pytest.mark.parametrize("name", public_methods(Ingress))
def test_a_method_has_the_signature_of_the_ingress_and_a_timeout(client: type, name: str) -> None:
    method = public_methods(client)[name]

    assert ingress_signature(method) == ingress_signature(public_methods(Ingress)[name])
    timeout = inspect.signature(method).parameters["timeout_s"]
    assert timeout.kind is inspect.Parameter.KEYWORD_ONLY
    can_await = inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)
    is_async = can_await and not hasattr(method, "__wrapped__")
    assert is_async == (client is AsyncVoxgraph)


class Response:
    """What ``handle.method.remote(...)`` returns; it resolves after some seconds."""

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
    """A handle of the ingress that records its calls."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.response = Response(seconds)
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        class Method:
            def remote(_, *arguments: Any) -> Response:  # noqa: N805
                self.calls.append((name, *arguments))
                return self.response

        return Method()


def test_blocking_code_gets_the_answer() -> None:
    handle = Handle()

    assert Voxgraph(handle).detect_language(CLIP) == GERMAN
    assert handle.calls == [("detect_language", CLIP, (), False)]


async def test_a_coroutine_gets_the_answer() -> None:
    assert await AsyncVoxgraph(Handle()).detect_language(CLIP) == GERMAN


def test_a_call_that_takes_too_long_is_cancelled() -> None:
    handle = Handle(seconds=30)

    with pytest.raises(DeadlineExceeded):
        Voxgraph(handle).detect_language(CLIP, timeout_s=0.05)

    assert handle.response.cancelled
