"""Stand-ins for Serve's deployment handles, without Serve."""

import asyncio
from types import SimpleNamespace
from typing import Any


def handle(replica: Any) -> Any:
    """Return an object that is called like a handle of a deployment with this only replica."""

    class Handle:
        def __getattr__(self, name: str) -> Any:
            method = getattr(replica, name)
            return SimpleNamespace(
                remote=lambda *arguments, **named: asyncio.ensure_future(method(*arguments, **named))
            )

        def options(self, **_: object) -> "Handle":
            return self

    return Handle()
