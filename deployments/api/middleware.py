"""What happens to every request: an id, a line in the log, its time in a header, a refusal where too many
are there already, and the last resort."""

import logging
import time
import uuid
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.api.budget import Reservation
from deployments.api.errors import INTERNAL, answer, answer_to
from voxgraph.errors import Overloaded

log = logging.getLogger("ray.serve")

REQUEST_ID_HEADER = "x-request-id"
SHOWN_TO_BROWSERS = (REQUEST_ID_HEADER, "retry-after", "server-timing")
"""Headers of an answer that a page of another origin may read."""
MAX_REQUEST_ID = 128
UNCOUNTED = frozenset({"graph", "service"})
"""Tags of the endpoints that ask nothing of a recording."""


class RequestContextMiddleware:
    """Pure ASGI, so that uploads stream through and disconnects are seen.

    Sets ``request.state.request_id`` (the caller's, or a new one) and ``request.state.timings`` (seconds by
    name, answered as ``Server-Timing``). An error that nothing else answered is logged once and answered
    500 without its details.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(Headers(scope=scope))
        timings: dict[str, float] = {}
        scope.setdefault("state", {}).update(request_id=request_id, timings=timings)
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                timings["total"] = time.perf_counter() - started
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = request_id
                headers["server-timing"] = ", ".join(
                    f"{name};dur={seconds * 1000:.1f}" for name, seconds in timings.items()
                )
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:
            log.exception("Request %s failed", request_id)
            if status:
                raise
            response = answer(Request(scope), 500, INTERNAL, "ProcessingError", "internal")
            await response(scope, receive, send_with_headers)
        _count(scope, status, time.perf_counter() - started)
        # The server has decoded the path, line ends and all.
        path = quote(scope["path"], errors="replace")
        log.info(
            "%s %s %s %d %.1f ms", request_id, scope["method"], path, status,
            1000 * (time.perf_counter() - started),
        )  # fmt: skip


class ConcurrencyLimitMiddleware:
    """Refuses a recording before its body is read while as many as may be are worked on.

    Sets ``request.state.reservation``, the request's of the decoded audio that may be in hand.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        if self._inside >= scope["app"].state.analyzer.max_requests:
            error = Overloaded(f"{self._inside} recordings are worked on; try again in a moment.")
            response = await answer_to(Request(scope), error)
            await response(scope, receive, send)
            return
        self._inside += 1
        reservation = Reservation(scope["app"].state.budget)
        scope.setdefault("state", {})["reservation"] = reservation
        try:
            await self._app(scope, receive, send)
        finally:
            reservation.close()
            self._inside -= 1


class CORSErrorMiddleware(CORSMiddleware):
    """Who may call from a browser; a refusal has the body of every error."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """What a browser is told before it asks."""
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        request_id = _request_id(request_headers)
        refusal = answer(
            Request({"type": "http", "state": {"request_id": request_id}}),
            response.status_code,
            f"{bytes(response.body).decode()}.",
            "ValidationError",
            "http",
        )
        refusal.headers[REQUEST_ID_HEADER] = request_id
        for name, value in response.headers.items():
            refusal.headers.setdefault(name, value)
        return refusal


def _count(scope: Scope, status: int, seconds: float) -> None:
    """Tell the statistics of a question about a recording, by the path that the application has for it."""
    route = scope.get("route")
    if scope["method"] == "POST" and route is not None and not UNCOUNTED.intersection(route.tags):
        scope["app"].state.analyzer.state.observe(route.path, status, seconds)


def _request_id(headers: Headers) -> str:
    """The caller's id where it is short and printable, else a new one."""
    given = headers.get(REQUEST_ID_HEADER, "")
    return given if given.isprintable() and 0 < len(given) <= MAX_REQUEST_ID else uuid.uuid4().hex
