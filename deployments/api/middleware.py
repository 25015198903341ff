"""Middleware: request id, access log, timing header, concurrency limit, CORS and the last-resort 500."""

import asyncio
import logging
import time
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.api.budget import Reservation
from deployments.api.edge import INTERNAL_ERROR, REQUEST_ID_HEADER, is_request_id, new_request_id
from deployments.api.errors import CLIENT_CLOSED_REQUEST, error_response, vox_error_response
from voxgraph.errors import Overloaded

log = logging.getLogger("ray.serve")

EXPOSED_HEADERS = (REQUEST_ID_HEADER, "content-disposition", "retry-after", "server-timing")
"""Response headers that a page of another origin may read."""
SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}
"""Response headers of every answer: no guessing of types, no address of ours elsewhere, no frames."""
UPLOADS = frozenset({"POST", "PUT"})
"""Methods of the requests that may carry a recording."""
UNCOUNTED_TAGS = frozenset({"graph", "service"})
"""Tags of the endpoints that take no recording; the statistics leave them out."""


class RequestContextMiddleware:
    """Give each request an id and timings, log it, and answer unhandled errors.

    Sets ``request.state.request_id`` (the caller's, or a new one) and ``request.state.timings`` (seconds by
    name, sent as the ``Server-Timing`` header). An unhandled error is logged once and answered 500 without
    its details. This is pure ASGI, so that uploads stream through and disconnects reach the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
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
                headers.update(SECURITY_HEADERS)
                headers[REQUEST_ID_HEADER] = request_id
                durations = (f"{name};dur={seconds * 1000:.1f}" for name, seconds in timings.items())
                headers["server-timing"] = ", ".join(durations)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except asyncio.CancelledError:
            # The client has left, or Serve's own time limit has passed.
            status = status or CLIENT_CLOSED_REQUEST
            raise
        except Exception:
            log.exception("Request %s failed", request_id)
            if status:
                raise
            response = error_response(Request(scope), 500, INTERNAL_ERROR, "ProcessingError", "internal")
            await response(scope, receive, send_with_headers)
        finally:
            elapsed_s = time.perf_counter() - started
            _observe(scope, status, elapsed_s)
            # The server has percent-decoded the path, so it may contain line breaks.
            path = quote(scope["path"], errors="replace")
            log.info("%s %s %s %d %.1f ms", request_id, scope["method"], path, status, 1000 * elapsed_s)


class ConcurrencyLimitMiddleware:
    """Refuse a recording before its body is read when `max_requests` recordings are in progress.

    Sets ``request.state.reservation``, the request's part of the budget of decoded audio.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["method"] not in UPLOADS:
            await self._app(scope, receive, send)
            return
        if self._running >= scope["app"].state.analyzer.max_requests:
            error = Overloaded(f"{self._running} recordings are in progress; try again in a moment.")
            response = await vox_error_response(Request(scope), error)
            await response(scope, receive, send)
            return
        self._running += 1
        reservation = Reservation(scope["app"].state.budget)
        started = time.perf_counter()
        scope.setdefault("state", {})["reservation"] = reservation
        try:
            await self._app(scope, receive, send)
        finally:
            reservation.close()
            self._running -= 1
            scope["app"].state.pace.finish(time.perf_counter() - started)


class CORSErrorMiddleware(CORSMiddleware):
    """CORS; a refused preflight request gets the body of every other error."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer a preflight request."""
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        request_id = _request_id(request_headers)
        request = Request({"type": "http", "state": {"request_id": request_id}})
        detail = f"{bytes(response.body).decode()}."
        refusal = error_response(request, response.status_code, detail, "ValidationError", "http")
        refusal.headers[REQUEST_ID_HEADER] = request_id
        for name, value in response.headers.items():
            refusal.headers.setdefault(name, value)
        return refusal


def _observe(scope: Scope, status: int, seconds: float) -> None:
    """Count a request about a recording in the statistics, by its route's path."""
    route = scope.get("route")
    if scope["method"] == "POST" and route is not None and not UNCOUNTED_TAGS.intersection(route.tags):
        scope["app"].state.analyzer.state.observe(route.path, status, seconds)


def _request_id(headers: Headers) -> str:
    """Return the caller's id if it is short and printable ASCII, else a new one."""
    given = headers.get(REQUEST_ID_HEADER, "")
    return given if is_request_id(given.encode("latin-1")) else new_request_id()
