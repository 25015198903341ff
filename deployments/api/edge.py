"""The outermost layer of HTTP: what clients may tell the server, and what every answer has.

Ray Serve reads some request headers before the application does, and obeys whoever sent them. This layer lies
outside of Serve: `deployments.launch.server` installs it in every process that listens. It is pure ASGI and
imports no Ray.
"""

import json
import re
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.api.bodies import Flow, flow
from voxgraph.errors import TIMEOUT_MESSAGE

REQUEST_ID_HEADER = "x-request-id"
STEERING_HEADERS = frozenset(
    {
        "x-request-timeout-seconds",
        "x-request-disconnect-disabled",
        "serve-multiplexed-model-id",
        "x-session-id",
    }
)
"""Request headers that Serve obeys: they would end our deadlines, or let work go on after its caller left.

Serve takes ``_`` for ``-`` in some of them.
"""
ROUTER_HEADERS = "x-serve-router-"
"""Prefix of the headers with which Serve's own parts talk to each other."""
TRACING_HEADERS = frozenset({"traceparent", "tracestate"})
"""Headers that Serve decodes if tracing is on; they are ASCII by definition (W3C Trace Context)."""
MAX_REQUEST_ID_CHARS = 128
_REQUEST_ID = re.compile(rb"[!-~]{1,%d}" % MAX_REQUEST_ID_CHARS)

Headers = Iterable[tuple[bytes, bytes]]

INTERNAL_ERROR = "The service failed; its log has the cause."
REFUSALS = {
    400: ("The request is not valid HTTP.", "ValidationError", "http"),
    404: ("No such path.", "ValidationError", "http"),
    408: (TIMEOUT_MESSAGE, "ProcessingError", "deadline_exceeded"),
    414: ("The URL is too long.", "ValidationError", "http"),
    429: ("Too many requests; try again in a moment.", "ProcessingError", "rate_limited"),
    431: ("The request has too many headers, or too long ones.", "ValidationError", "http"),
    499: ("The client left before the answer.", "ProcessingError", "http"),
    500: (INTERNAL_ERROR, "ProcessingError", "internal"),
    503: ("The service is busy or being replaced; try again in a moment.", "ProcessingError", "overloaded"),
}
"""Detail, error type and code of the refusals that the application does not write, by their status."""
RETRY_AFTER_S = 1
"""Seconds after which to retry where nothing has been measured."""


def is_request_id(value: bytes) -> bool:
    """Whether a request id is 1 to `MAX_REQUEST_ID_CHARS` printable ASCII characters without spaces."""
    return _REQUEST_ID.fullmatch(value) is not None


def new_request_id() -> str:
    """Return a request id of our own."""
    return uuid.uuid4().hex


def cleaned(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return the headers of a request without those that steer Serve, and with exactly one valid request id.

    A caller's id that is valid and the only one stays.
    """
    kept, ids = [], []
    for name, value in headers:
        plain = name.decode("latin-1").lower().replace("_", "-")
        if plain == REQUEST_ID_HEADER:
            ids.append(value)
        elif plain in STEERING_HEADERS or plain.startswith(ROUTER_HEADERS) or not name.isascii():
            continue
        elif plain not in TRACING_HEADERS or value.isascii():
            kept.append((name, value))
    given = ids[0] if len(ids) == 1 and is_request_id(ids[0]) else new_request_id().encode()
    return [*kept, (REQUEST_ID_HEADER.encode(), given)]


def refusal(
    status: int, request_id: str, detail: str | None = None
) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return headers and body of a refusal; the body is that of `deployments.api.errors.ErrorAnswer`.

    `detail` replaces the sentence of `REFUSALS`.
    """
    sentence, kind, code = REFUSALS.get(status, REFUSALS[500 if status >= 500 else 400])
    body = json.dumps(
        {
            "detail": detail or sentence,
            "error_type": kind,
            "code": code,
            "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "request_id": request_id,
        }
    ).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (REQUEST_ID_HEADER.encode(), request_id.encode()),
    ]
    if status in (429, 503):
        headers.append((b"retry-after", str(RETRY_AFTER_S).encode()))
    return headers, body


class EdgeMiddleware:
    """Clean the request's headers, answer exactly one request id, and give Serve's refusals our error body.

    Serve refuses in plain text: a request that took too long, too many requests, an unknown path. The
    application never answers an error in plain text, so that such an answer is Serve's. If the replica that
    had a request died, Serve's proxy gives no answer at all.

    Args:
        app: Serve's own middleware, or the application.
        limits_flow: Whether to read a body only as fast as the application, which must run in the same task
            or in one that it has started.
    """

    def __init__(self, app: ASGIApp, *, limits_flow: bool = False) -> None:
        self._app = app
        self._limits_flow = limits_flow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        scope = {**scope, "headers": cleaned(scope["headers"])}
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, send)
        if self._limits_flow:
            limited = Flow()
            flow.set(limited)
            receive = limited.from_connection(receive)
        try:
            await self._app(scope, receive, answer)
        except Exception:
            await answer.refuse_if_not_begun(500)
            raise
        await answer.refuse_if_not_begun(503)


class _Answer:
    """The ``send`` of one request."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        self._request_id: bytes = scope["headers"][-1][1]
        self._is_servers_own = scope["path"].startswith("/-/")
        """Whether the path is one of Serve's own, which balancers and probes read."""
        self._has_begun = False
        self._replaced = False
        """Whether the body that follows is replaced by ours, which has been sent."""

    async def __call__(self, message: Message) -> None:
        """Send a message of the answer."""
        if message["type"] == "http.response.start":
            self._has_begun = True
            message = await self._start(message)
        elif self._replaced:
            return
        if message:
            await self._send(message)

    async def refuse_if_not_begun(self, status: int) -> None:
        """Refuse the request, unless its answer has begun; a client that has left gets nothing."""
        if not self._has_begun:
            await self._refuse(status, None)

    async def _start(self, message: Message) -> Message:
        given = [(bytes(name).lower(), bytes(value)) for name, value in message.get("headers", ())]
        if message["status"] >= 400 and not self._is_servers_own and _is_plain_text(given):
            await self._refuse(message["status"], dict(given).get(b"retry-after"))
            return {}
        name = REQUEST_ID_HEADER.encode()
        headers = [header for header in given if header[0] != name]
        return {**message, "headers": [*headers, (name, self._request_id)]}

    async def _refuse(self, status: int, retry_after: bytes | None) -> None:
        self._replaced = True
        headers, body = refusal(status, self._request_id.decode())
        if retry_after is not None:
            headers = [header for header in headers if header[0] != b"retry-after"]
            headers.append((b"retry-after", retry_after))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def _is_plain_text(headers: Headers) -> bool:
    return any(name == b"content-type" and value.startswith(b"text/plain") for name, value in headers)
