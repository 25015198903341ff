"""Clients of an application over ASGI, without a server."""

from typing import Any

import httpx2


def client_at(app: Any, address: str) -> httpx2.AsyncClient:
    """Return a client that seems to have an address."""
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False, client=(address, 1))
    return httpx2.AsyncClient(transport=transport, base_url="http://voxgraph")
