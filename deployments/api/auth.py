"""API keys: who asks, what it may ask, and how often.

Without keys everybody may ask, and programs on this machine alone may use the endpoints of `ADMIN_PATHS`.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from starlette._utils import get_route_path
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from config.settings import GraphSettings
from deployments.api.errors import ErrorType, error_response
from deployments.api.service import StateClient
from deployments.api.shares import address_of
from voxgraph import keys
from voxgraph.graph import KeyUse
from voxgraph.keys import Key, KeysError, digest, read_keys

log = logging.getLogger("ray.serve")

ADMIN_PATHS = frozenset({"/clear-cache", "/cleanup-files"})
OPEN_PATHS = frozenset({"/livez"})
"""Paths that need no key."""
GALLERIES = ("/v1/galleries", "/v1/ledger", "/v1/receipts")
"""Paths that, with all below them, need the scope ``gallery``."""
PAGES = frozenset({"/", "/docs", "/openapi.json", "/health"})
"""Paths that, with ``/assets/``, need no key on this machine, or anywhere with `GraphSettings.open_pages`."""
REREAD_S = 1.0
"""Seconds between two looks at the file of keys."""
WINDOW_S = 60


@dataclass(frozen=True)
class Refusal:
    """An answer to a request that is not let in."""

    status: HTTPStatus
    detail: str
    code: str
    retry_after_s: int | None = None


class Keyring:
    """The keys of the settings and of a file, which is read again when it has changed.

    Raises `KeysError` if the file cannot be read at the start; later the last good keys stay.
    """

    def __init__(self, settings: GraphSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._given = settings.api_keys
        self._path = Path(settings.keys_file) if settings.keys_file else None
        self._clock = clock
        self._looked_at = clock()
        self._version: tuple[int, int, int] | None = None
        self._by_digest: dict[str, Key] = {}
        self._take(read_keys(self._path) if self._path else ())

    @property
    def is_on(self) -> bool:
        """Whether requests need a key; a file without any lets nobody in."""
        return bool(self._given) or self._path is not None

    def find(self, secret: str) -> Key | None:
        """Return what is known of a key, or None. The look-up is by its hash, which no caller can choose."""
        if self._path is not None and self._clock() - self._looked_at >= REREAD_S:
            self._looked_at = self._clock()
            self._reread(self._path)
        return self._by_digest.get(digest(secret))

    def _reread(self, path: Path) -> None:
        try:
            if (version := _version(path)) != self._version:
                self._take(read_keys(path))
                self._version = version
        except (KeysError, OSError) as error:
            log.error("The keys stay as they are: %s", error)

    def _take(self, keys: tuple[Key, ...]) -> None:
        self._by_digest = {key.sha256: key for key in (*self._given, *keys)}


class AuthMiddleware:
    """Let in requests with a key that may ask for what they ask for; without keys, guard `ADMIN_PATHS`.

    Sets ``request.state.key_name``, ``request.state.tenant`` and ``request.state.scopes``.
    """

    def __init__(self, app: ASGIApp, keyring: Keyring, open_pages: bool | None) -> None:
        self._app = app
        self._keyring = keyring
        self._open_pages = open_pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        key = self._keyring.find(presented(Headers(scope=scope))) if self._keyring.is_on else None
        refusal = self._refusal(scope, key)
        if key is not None:
            known = {"key_name": key.name, "tenant": key.owner, "scopes": key.scopes}
            scope.setdefault("state", {}).update(known)
        if refusal is not None:
            await _refuse(scope, receive, send, refusal)
            return
        at_a_time = None if key is None or scope["method"] != "POST" else key.max_concurrent
        if key is None or (key.requests_per_minute is None and at_a_time is None):
            await self._app(scope, receive, send)
            return
        await self._within_limits(scope, receive, send, key, at_a_time)

    async def _within_limits(
        self, scope: Scope, receive: Receive, send: Send, key: Key, at_a_time: int | None
    ) -> None:
        """Handle a request of a key with limits; refuse it if it is beyond one of them."""
        state: StateClient = scope["app"].state.analyzer.state
        async with state.using_key(key.sha256, key.requests_per_minute, at_a_time) as use:
            send = _with_limits(send, key, use)
            if use.wait_s:
                refusal = _too_many(f"{key.requests_per_minute} requests a minute", math.ceil(use.wait_s))
                await _refuse(scope, receive, send, refusal)
            elif not use.has_place:
                await _refuse(scope, receive, send, _too_many(f"{at_a_time} recordings at a time", None))
            else:
                await self._app(scope, receive, send)

    def _refusal(self, scope: Scope, key: Key | None) -> Refusal | None:
        path = get_route_path(scope) or "/"
        is_admin = path in ADMIN_PATHS
        if not self._keyring.is_on:
            if is_admin and not is_here(scope):
                return Refusal(
                    HTTPStatus.FORBIDDEN,
                    "Without API keys only programs on the server's own machine may do this.",
                    "forbidden",
                )
            return None
        if key is None:
            if path in OPEN_PATHS or (self._has_open_pages(scope) and is_page(scope, path)):
                return None
            return Refusal(
                HTTPStatus.UNAUTHORIZED,
                "A valid API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY.",
                "unauthenticated",
            )
        needed: keys.Scope = "admin" if is_admin else "gallery" if is_gallery(path) else "ask"
        if needed not in key.scopes:
            return Refusal(HTTPStatus.FORBIDDEN, f"The key {key.name} has no scope {needed}.", "forbidden")
        return None

    def _has_open_pages(self, scope: Scope) -> bool:
        return is_here(scope) if self._open_pages is None else self._open_pages


def presented(headers: Headers) -> str:
    """Return the key that a request presents, or an empty string."""
    kind, _, credentials = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and credentials:
        return credentials.strip()
    return headers.get("x-api-key", "")


def is_here(scope: Scope) -> bool:
    """Whether the client is a program on this machine."""
    address = address_of(scope)
    return address is None or address.is_loopback


def is_page(scope: Scope, path: str) -> bool:
    """Whether a request is for a page or what a page loads."""
    return scope["method"] in ("GET", "HEAD") and (path in PAGES or path.startswith("/assets/"))


def is_gallery(path: str) -> bool:
    """Whether a path is about galleries of voices."""
    return path.startswith(tuple(f"{each}/" for each in GALLERIES)) or path in GALLERIES


def _too_many(limit: str, retry_after_s: int | None) -> Refusal:
    detail = f"This key may send {limit}."
    return Refusal(HTTPStatus.TOO_MANY_REQUESTS, detail, "rate_limited", retry_after_s)


async def _refuse(scope: Scope, receive: Receive, send: Send, refusal: Refusal) -> None:
    kind: ErrorType = (
        "ProcessingError" if refusal.status == HTTPStatus.TOO_MANY_REQUESTS else "ValidationError"
    )
    response = error_response(Request(scope), refusal.status, refusal.detail, kind, refusal.code)
    if refusal.retry_after_s is not None:
        response.headers["retry-after"] = str(refusal.retry_after_s)
    if refusal.status == HTTPStatus.UNAUTHORIZED:
        response.headers["www-authenticate"] = 'Bearer realm="voxgraph"'
    await response(scope, receive, send)


def _with_limits(send: Send, key: Key, use: KeyUse) -> Send:
    """Return a ``send`` that adds the header fields of draft-ietf-httpapi-ratelimit-headers-10."""
    policies, left = list[str](), list[str]()
    if use.requests_left is not None:
        policies.append(f'"requests";q={key.requests_per_minute};w={WINDOW_S}')
        left.append(f'"requests";r={use.requests_left};t={WINDOW_S}')
    if use.places_left is not None or not use.has_place:
        policies.append(f'"recordings";q={key.max_concurrent};qu="concurrent-requests"')
        left.append(f'"recordings";r={use.places_left or 0}')

    async def send_with_limits(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["ratelimit-policy"] = ", ".join(policies)
            headers["ratelimit"] = ", ".join(left)
        await send(message)

    return send_with_limits


def _version(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size
