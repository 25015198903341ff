"""Methods for code without ``async``, made of asynchronous ones."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

Asynchronous = TypeVar("Asynchronous")
P = ParamSpec("P")
T = TypeVar("T")


class Blocking(Generic[Asynchronous]):
    """Base class of an object whose `blocking` methods are those of an asynchronous one."""

    def __init__(self, asynchronous: Asynchronous) -> None:
        self._asynchronous = asynchronous


def blocking(
    method: Callable[Concatenate[Asynchronous, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Blocking[Asynchronous], P], T]:
    """Make a blocking method that runs a coroutine method in its own event loop; Ctrl-C cancels it."""

    @functools.wraps(method)
    def run(self: Blocking[Asynchronous], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return asyncio.run(method(self._asynchronous, *args, **kwargs))

    return run
