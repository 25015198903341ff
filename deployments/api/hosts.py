"""Whom a request is for, and which page of a browser sent it.

A page anywhere can make a browser send requests to a server on the same machine or network. Two checks keep
such pages out: the name in ``Host`` must be one of ours, which ends DNS rebinding (a foreign name for our
address), and what changes something or costs time must not come from another site. Browsers send ``Origin``
with every request that is not a GET or a HEAD (https://fetch.spec.whatwg.org/#append-a-request-origin-header):
without it, such a request is from no page, and a proxy may have passed on the name that its client asked for.
"""

import ipaddress
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from config.settings import GraphSettings
from deployments.api.errors import error_response

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing; whether a page may read the answer, CORS decides."""


class HostsMiddleware:
    """Refuse requests for another name with 421, and those of pages of another site with 403."""

    def __init__(self, app: ASGIApp, settings: GraphSettings) -> None:
        self._app = app
        self._hosts = None if settings.allowed_hosts is None else {h.lower() for h in settings.allowed_hosts}
        self._origins = {origin.lower().rstrip("/") for origin in settings.cors_origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and (refusal := self._refusal(scope["method"], Headers(scope=scope))):
            status, detail, code = refusal
            response = error_response(Request(scope), status, detail, "ValidationError", code)
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, method: str, headers: Headers) -> tuple[HTTPStatus, str, str] | None:
        host = headers.get("host", "")
        may_be_a_page = method in SAFE_METHODS or "origin" in headers or "sec-fetch-site" in headers
        if self._hosts is not None and host and may_be_a_page and host_name(host) not in self._hosts:
            detail = "This name is not one of this server's; its operator can add it to allowed_hosts."
            return HTTPStatus.MISDIRECTED_REQUEST, detail, "unknown_host"
        if method not in SAFE_METHODS and not self._is_allowed_site(headers, host):
            detail = "A page of another site sent this; its origin is not in cors_origins."
            return HTTPStatus.FORBIDDEN, detail, "forbidden"
        return None

    def _is_allowed_site(self, headers: Headers, host: str) -> bool:
        """Whether the request comes from a page of ours or of an allowed origin, or from no browser."""
        origin = headers.get("origin", "").lower().rstrip("/")
        if "*" in self._origins or origin in self._origins:
            return True
        if (site := headers.get("sec-fetch-site")) is not None:
            return site in ("same-origin", "none")
        return not origin or origin.partition("://")[2] == host.lower()


def host_name(host: str) -> str:
    """Return the name in a ``Host`` header without its port, in lower case."""
    name = host.lower()
    return name.partition("]")[0] + "]" if name.startswith("[") else name.partition(":")[0]


def default_hosts(address: str) -> tuple[str, ...] | None:
    """Return the names of a server that listens on an address: those of the loopback, or None for all."""
    if address == "localhost":
        return LOOPBACK_HOSTS
    try:
        is_loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        return None
    return LOOPBACK_HOSTS if is_loopback else None
