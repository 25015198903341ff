"""The two pages for browsers, the one at ``/`` and ``/docs``, and the files that they load."""

import gzip
import mimetypes
import secrets
from functools import cache, cached_property
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

FOLDER = files("deployments.api.page") / "built"
NONCE = "__NONCE__"
"""Place in the built pages of the value that allows them their own styles, new in each answer."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
)
"""Content security policy of both pages: nothing of another origin, no script in the text of the page."""
PAGE_HEADERS = {
    "cache-control": "no-cache",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "vary": "accept",
}
ASSET_HEADERS = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}
"""The names of the files contain a hash of their content, so they never change."""


DOCS_MARK = '<meta name="docs" content="on" />'
"""Element of the page that stands for a link to the documentation."""


class Asset:
    """A file that a page loads."""

    def __init__(self, name: str, content: bytes) -> None:
        self._content = content
        self._media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"

    @cached_property
    def _compressed(self) -> bytes:
        return gzip.compress(self._content, 6, mtime=0)

    def response(self, request: Request) -> Response:
        """Return the file, compressed if the browser takes that; the first time that costs up to 50 ms."""
        headers = dict(ASSET_HEADERS)
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(self._content, headers=headers, media_type=self._media_type)
        headers["content-encoding"] = "gzip"
        return Response(self._compressed, headers=headers, media_type=self._media_type)


@cache
def _built() -> tuple[str, str, dict[str, Asset]]:
    """Read the page at ``/``, the documentation, and the files of both by name."""
    assets = {file.name: Asset(file.name, file.read_bytes()) for file in (FOLDER / "assets").iterdir()}
    return (FOLDER / "index.html").read_text(), (FOLDER / "docs.html").read_text(), assets


class Pages:
    """The built pages and their files, in memory.

    Args:
        page: Whether there is a page at ``/``.
        docs: Whether there is ``/docs``.
    """

    def __init__(self, page: bool, docs: bool) -> None:
        self.has_page, self.has_docs = page, docs
        self._page, self._docs, self._assets = _built()

    def page(self, request: Request) -> Response:
        """Return the page at ``/``."""
        return _html(request, self._page if self.has_docs else self._page.replace(DOCS_MARK, ""))

    def docs(self, request: Request) -> Response:
        """Return the documentation."""
        return _html(request, self._docs)

    def asset(self, name: str) -> Asset | None:
        """Return a file of the pages, or None if there is none of this name."""
        return self._assets.get(name)


def _html(request: Request, text: str) -> Response:
    """Return a built page, with its links under the prefix of the proxy and a nonce of its own."""
    nonce = secrets.token_urlsafe(16)
    root: str = request.scope.get("root_path", "").rstrip("/")
    if root:
        text = text.replace('"./', f'"{root}/')
    policy = POLICY.format(nonce=nonce)
    return HTMLResponse(
        text.replace(NONCE, nonce), headers=PAGE_HEADERS | {"content-security-policy": policy}
    )
