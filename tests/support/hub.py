"""A local model hub with the two endpoints that huggingface_hub uses: the file tree and the files."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest

REFUSALS = {"GatedRepo": 403, "RevisionNotFound": 404, "RepoNotFound": 404}
"""Status by error code of the hub."""


def use(monkeypatch: pytest.MonkeyPatch, cache: Path, endpoint: str | None = None) -> None:
    """Give huggingface_hub, which reads its variables at import, a cache and a hub; None: it is offline."""
    constants = "huggingface_hub.constants"
    monkeypatch.setattr(f"{constants}.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(f"{constants}.HF_HUB_OFFLINE", endpoint is None)
    monkeypatch.setattr(f"{constants}.HF_HUB_DISABLE_PROGRESS_BARS", True)
    files = f"{endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(f"{constants}.ENDPOINT", endpoint)
    monkeypatch.setattr(f"{constants}.HUGGINGFACE_CO_URL_TEMPLATE", files)


@contextmanager
def serving(files: Mapping[str, bytes], commit: str, refusal: str | None = None) -> Iterator[str]:
    """Serve a hub whose repositories all have these files, or all answer with this error code."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if refusal is not None:
                self._answer(REFUSALS[refusal], {"X-Error-Code": refusal, "X-Error-Message": refusal}, b"{}")
            elif path.startswith("/api/models/"):
                tree = [
                    {"type": "file", "path": name, "size": len(data), "oid": sha1(data).hexdigest()}
                    for name, data in files.items()
                ]
                self._answer(200, {"Content-Type": "application/json"}, json.dumps(tree).encode())
            else:
                data = files[path.split(f"/resolve/{commit}/")[1]]
                headers = {"X-Repo-Commit": commit, "ETag": f'"{sha1(data).hexdigest()}"'}
                self._answer(200, headers, data)

        do_HEAD = do_GET  # noqa: N815

        def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
