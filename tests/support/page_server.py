"""An HTTP application on a port of this process, for tests with a browser."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from config.settings import GraphSettings
from deployments.api.app import create_app
from deployments.api.service import GraphAnalyzer


@contextmanager
def serving(analyzer: GraphAnalyzer, **settings: object) -> Iterator[str]:
    """Serve the application for an analyzer; yields its address."""
    with listening(application(analyzer, **settings)) as url:
        yield url


def application(analyzer: GraphAnalyzer, **settings: object) -> ASGIApp:
    """Return the application; it decodes in threads, because processes would start with each of them."""
    return create_app(analyzer, GraphSettings.model_validate({"decoders": {"processes": 0}, **settings}))


@contextmanager
def listening(app: ASGIApp) -> Iterator[str]:
    """Serve any application; yields its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join()
