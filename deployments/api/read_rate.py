"""Let the requests without a body of one client come one after the other, so that a flood of them waits.

They take no place of a replica and are answered within two milliseconds of its event loop, so that a hundred
at a time kept everybody else's requests waiting for a third of a second.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.api.errors import vox_error_response
from deployments.api.middleware import UPLOADS
from deployments.api.shares import client_of
from voxgraph.errors import RateLimited

AT_ONCE = 15
"""Requests that are answered at once after a pause: a browser asks for some ten files of the page."""
LONGEST_WAIT_S = 2.0
"""Seconds beyond which a request is refused in place of waiting."""
MOST_COUNTED = 10_000
"""Clients that are counted; beyond it, the one that asked the longest ago is forgotten."""


class ReadRate:
    """Tells how long a request has to wait for its client's turn.

    It is the generic cell rate algorithm (ITU-T I.371): a client may be `AT_ONCE` requests ahead of its rate.

    Args:
        per_s: Requests of one client in a second; 0: any.
        clock: Monotonic, in seconds.
    """

    def __init__(self, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s = 1 / per_s if per_s else 0.0
        self._clock = clock
        self._next_at: OrderedDict[str, float] = OrderedDict()
        """When a request of each client is due that comes at the rate."""

    def wait_s(self, client: str | None) -> float:
        """Count a request, and return the seconds that it has to wait; a program on this machine has none.

        Raises:
            RateLimited: They would be more than `LONGEST_WAIT_S`; the request is not counted.
        """
        if client is None or not self._every_s:
            return 0.0
        now = self._clock()
        due = max(self._next_at.get(client, now), now)
        wait_s = due - (AT_ONCE - 1) * self._every_s - now
        if wait_s > LONGEST_WAIT_S:
            raise RateLimited(f"More than {1 / self._every_s:g} of your requests a second wait for answers.")
        self._next_at[client] = due + self._every_s
        self._next_at.move_to_end(client)
        while len(self._next_at) > MOST_COUNTED:
            self._next_at.popitem(last=False)
        return max(0.0, wait_s)


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
