"""Middleware for requests as clients and proxies really send them: HEAD, trailing slashes, a path prefix."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class PathMiddleware:
    """Answer HEAD as GET without the body, and a path with a trailing slash as the path without it.

    Pure ASGI: the body of an upload is not lost to a redirect.

    Args:
        app: The application.
        root_path: Prefix under which a proxy publishes the service, such as ``/voice``; the links of the
            documentation and the redirect to it begin with it. The proxy may strip it or leave it.
    """

    def __init__(self, app: ASGIApp, root_path: str = "") -> None:
        self._app = app
        self._root_path = root_path.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = dict(scope)
        if self._root_path:
            scope["root_path"] = self._root_path + scope.get("root_path", "")
        path: str = scope["path"]
        if path.endswith("/") and path.rstrip("/") not in ("", self._root_path):
            scope["path"] = path.rstrip("/")
            scope["raw_path"] = scope.get("raw_path", b"").rstrip(b"/")
        if scope["method"] == "HEAD":
            scope["method"] = "GET"
            send = _without_body(send)
        await self._app(scope, receive, send)


def _without_body(send: Send) -> Send:
    async def send_headers(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_headers
