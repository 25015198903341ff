"""Let the requests without a body of one client come one after the other, so that a flood of them waits.

They take no place of a replica and are answered within two milliseconds of its event loop, so that a hundred
at a time kept everybody else's requests waiting for a third of a second (two cores of an AMD EPYC, Zen 4).
"""

import asyncio
import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.api.errors import vox_error_response
from deployments.api.leaky_buckets import LeakyBuckets
from deployments.api.middleware import UPLOADS
from deployments.api.shares import client_of
from voxgraph.errors import RateLimited

AT_ONCE = 15
"""Requests that are answered at once after a pause: a browser asks for some ten files of the page."""
LONGEST_WAIT_S = 2.0
"""Seconds beyond which a request is refused in place of waiting."""


class ReadRate:
    """Tells how long a request has to wait for its client's turn.

    Each client has a leaky bucket with room for `AT_ONCE` requests, and what is beyond it waits.

    Args:
        per_s: Requests of one client in a second; 0: any.
        clock: Monotonic, in seconds.
    """

    def __init__(self, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._buckets = per_s, LeakyBuckets(per_s, clock)

    def wait_s(self, client: str | None) -> float:
        """Count a request, and return the seconds that it has to wait; a program on this machine has none.

        Raises:
            RateLimited: They would be more than `LONGEST_WAIT_S`; the request is not counted.
        """
        if client is None or not self._per_s:
            return 0.0
        wait_s = max(0.0, self._buckets.level(client) - (AT_ONCE - 1)) / self._per_s
        if wait_s > LONGEST_WAIT_S:
            raise RateLimited(f"More than {self._per_s:g} of your requests a second wait for answers.")
        self._buckets.add(client)
        return wait_s


class ReadRateMiddleware:
    """Let requests without a body wait for their client's turn, `per_s` a second."""

    def __init__(self, app: ASGIApp, *, per_s: float) -> None:
        self._app, self._rate = app, ReadRate(per_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and scope["method"] not in UPLOADS:
            try:
                wait_s = self._rate.wait_s(client_of(scope))
            except RateLimited as error:
                response = await vox_error_response(Request(scope), error)
                await response(scope, receive, send)
                return
            await asyncio.sleep(wait_s)
        await self._app(scope, receive, send)
