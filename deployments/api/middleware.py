"""Middleware: request id, access log, timing header, concurrency limit, CORS and the last-resort 500."""

import asyncio
import logging
import time
from collections import Counter
from urllib.parse import quote

from starlette._utils import get_route_path
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from config.settings import AudioLimits
from deployments.api import began
from deployments.api.auth import GALLERIES, is_gallery
from deployments.api.bodies import Body, flow
from deployments.api.budget import Reservation
from deployments.api.edge import INTERNAL_ERROR, REQUEST_ID_HEADER, is_request_id, new_request_id
from deployments.api.errors import CLIENT_CLOSED_REQUEST, error_response, vox_error_response
from deployments.api.shares import client_of
from voxgraph.errors import Overloaded, RateLimited

log = logging.getLogger("ray.serve")

EXPOSED_HEADERS = (REQUEST_ID_HEADER, "content-disposition", "retry-after", "server-timing")
"""Response headers that a page of another origin may read."""
SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}
"""Response headers of every answer: no guessing of types, no address of ours elsewhere, no frames."""
UPLOADS = frozenset({"POST", "PUT", "PATCH"})
"""Methods of the requests that may have a body."""
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

        if (limited := flow.get()) is not None:
            receive = limited.by_application(receive)
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
            path = _logged_path(scope)
            who = f" key {scope['state']['key_name']}" if "key_name" in scope["state"] else ""
            log.info(
                "%s %s %s %d %.1f ms%s", request_id, scope["method"], path, status, 1000 * elapsed_s, who
            )


class ConcurrencyLimitMiddleware:
    """Refuse a recording before its body is read when `max_requests` recordings are in progress.

    A client that has its share of them in progress is refused before. Sets ``request.state.body`` and
    ``request.state.reservation``, the request's parts of the budgets of bodies and of decoded audio.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._running: Counter[str | None] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["method"] not in UPLOADS:
            await self._app(scope, receive, send)
            return
        state, client = scope["app"].state, client_of(scope)
        if error := self._refusal(client, state.analyzer.max_requests, state.settings.limits):
            response = await vox_error_response(Request(scope), error)
            await response(scope, receive, send)
            return
        self._running[client] += 1
        began.forget()
        started = time.perf_counter()
        body, reservation = Body(state.bodies, client), Reservation(state.budget, client)
        scope.setdefault("state", {}).update(body=body, reservation=reservation)
        try:
            await self._app(scope, body.counted(receive), send)
        finally:
            reservation.close()
            body.release()
            self._running[client] -= 1
            if not self._running[client]:
                del self._running[client]
            state.pace.finish(time.perf_counter() - started)

    def _refusal(self, client: str | None, max_requests: int, limits: AudioLimits) -> Overloaded | None:
        """Return the error of a request for which there is no place, or None."""
        running = self._running.total()
        if running >= max_requests:
            return Overloaded(f"{running} recordings are in progress; try again in a moment.")
        share = max(1, int(limits.max_client_share * max_requests))
        if client is not None and self._running[client] >= share:
            return RateLimited(f"{share} recordings of yours are in progress; wait for their answers.")
        return None


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


def _logged_path(scope: Scope) -> str:
    """Return the path of a request for the log; about galleries that of the route, which names nobody."""
    path: str = scope["path"]
    if is_gallery(get_route_path(scope)):
        route = scope.get("route")
        return GALLERIES[0] if route is None else str(route.path)
    # The server has percent-decoded it, so it may contain line breaks.
    return quote(path, errors="replace")


def _observe(scope: Scope, status: int, seconds: float) -> None:
    """Count a request by the name of its key, and one about a recording by its route's path."""
    route, state = scope.get("route"), scope["app"].state.analyzer.state
    if "key_name" in scope["state"]:
        state.observe_key(scope["state"]["key_name"], status)
    if scope["method"] == "POST" and route is not None and not UNCOUNTED_TAGS.intersection(route.tags):
        state.observe(route.path, status, seconds)


def _request_id(headers: Headers) -> str:
    """Return the caller's id if it is short and printable ASCII, else a new one."""
    given = headers.get(REQUEST_ID_HEADER, "")
    return given if is_request_id(given.encode("latin-1")) else new_request_id()
