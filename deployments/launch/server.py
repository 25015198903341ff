"""The HTTP server of every process of Serve that listens: limits on what comes before a body.

Serve starts uvicorn in the ingress replicas and in its own proxy, and asks the function that the environment
variable `CALLBACK_VARIABLE` names for middleware just before. uvicorn's parser, httptools, limits neither the
headers nor the URL, and waits for them without end: 4 MB of headers of three bytes each took 90 MB, and a
connection that sends nothing stayed. (Serve has no other setting for the server.)
"""

import asyncio
import os
import sys
from typing import Any

import uvicorn.config
from starlette.middleware import Middleware
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from deployments.api.edge import EdgeMiddleware, new_request_id, refusal

CALLBACK_VARIABLE = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
CALLBACK = "deployments.launch.server:middlewares"
MAX_HEADERS = 100
"""Headers of a request at most; HAProxy's limit is 101."""
MAX_HEAD_BYTES = 32 * 1024
"""Bytes of the URL and the headers together at most; HAProxy's limit is 15 KiB."""
MAX_URL_BYTES = 8 * 1024
HEAD_TIMEOUT_S = 10.0
"""Seconds from a connection, or from the first byte of a later request, to the end of its headers."""
_STATUS_LINES = {
    400: b"HTTP/1.1 400 Bad Request\r\n",
    408: b"HTTP/1.1 408 Request Timeout\r\n",
    414: b"HTTP/1.1 414 URI Too Long\r\n",
    431: b"HTTP/1.1 431 Request Header Fields Too Large\r\n",
}


def middlewares() -> list[Middleware]:
    """Return the middleware that Serve wraps around its own, and make uvicorn use `LimitedHttp` from now on.

    Serve calls this in every process that is about to listen.
    """
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{LimitedHttp.__module__}:{LimitedHttp.__qualname__}"
    return [Middleware(EdgeMiddleware, limits_flow=_runs_the_application())]


def _runs_the_application() -> bool:
    """Whether this process is an ingress replica that runs the application in the server's event loop.

    Serve's proxy passes requests on to replicas, in whose processes the application reads the body.
    """
    context = sys.modules.get("ray.serve.context")
    in_replica = context is not None and context._get_internal_replica_context() is not None
    return in_replica and os.environ.get("RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD") == "0"


class LimitedHttp(HttpToolsProtocol):
    """uvicorn's protocol with limits on the number, bytes and time of headers, and with our refusals."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._in_head = False
        self._head_bytes = 0
        self._header_count = 0
        self._refusal = 400
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, but not for ever."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived; refuse a head that is too long.

        What arrives at once is at most 256 KiB, so that a long head is noticed soon enough.
        """
        was_in_head = self._in_head
        super().data_received(data)
        if was_in_head and self._in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(431)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_head, self._head_bytes, self._header_count = True, 0, 0
        self._start_timer()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the URL."""
        super().on_url(url)
        if len(self.url) > MAX_URL_BYTES:
            self._fail(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer of a body in chunks."""
        self._header_count += 1
        self._head_bytes += len(name) + len(value)
        if self._header_count > MAX_HEADERS or self._head_bytes > MAX_HEAD_BYTES:
            self._fail(431)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request."""
        self._in_head = False
        self._stop_timer()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be parsed, or what a callback of the parser has refused."""
        self._refuse(self._refusal)

    def _fail(self, status: int) -> None:
        """End the parsing of this connection; the caller, uvicorn, then calls `send_400_response`."""
        self._refusal = status
        raise ValueError("The head of the request is over a limit.")

    def _refuse(self, status: int) -> None:
        self._stop_timer()
        # Behind a request whose answer has begun, a second answer could not be told from its body.
        if self.cycle is None or self.cycle.response_complete:
            headers, body = refusal(status, new_request_id())
            lines = [name + b": " + value + b"\r\n" for name, value in headers]
            self.transport.write(
                b"".join([_STATUS_LINES[status], *lines, b"connection: close\r\n\r\n", body])
            )
        self.transport.close()

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(HEAD_TIMEOUT_S, self._time_out)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_out(self) -> None:
        if self._in_head:
            self._refuse(408)
        else:
            self.transport.close()
