"""When the work on a request began: its deadline counts from there, and so includes the decoding. No Ray."""

import asyncio
from contextvars import ContextVar

_began_s: ContextVar[float | None] = ContextVar("began_s", default=None)


def forget() -> None:
    """Note that another request begins, whose task may have the context of an earlier one."""
    _began_s.set(None)


def begin() -> None:
    """Note that the work on the request of this task begins, unless it has begun."""
    if _began_s.get() is None:
        _began_s.set(asyncio.get_running_loop().time())


def elapsed_s() -> float:
    """Return the seconds since `begin` in this task or in the one that started it; 0.0 without it."""
    began_s = _began_s.get()
    return 0.0 if began_s is None else asyncio.get_running_loop().time() - began_s
