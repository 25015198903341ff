"""voxgraph for its users: errors, options and results, and the running graph from Python.

`Client` and `AsyncClient` ask a server over HTTP; `Voxgraph` and `AsyncVoxgraph` ask the graph of the same
Ray cluster. ``import voxgraph`` needs neither ray, torch nor fastapi, and nothing else of this project.
The names below are imported when they are first used; only `Voxgraph` and `AsyncVoxgraph` need ray.
"""

import importlib
from typing import TYPE_CHECKING, Any

from voxgraph.errors import VoxError

if TYPE_CHECKING:
    from voxgraph.analyzer import Analyzer
    from voxgraph.client import AsyncClient, Client, Samples
    from voxgraph.handles import AsyncVoxgraph, Voxgraph
    from voxgraph.options import ChunkOptions, ModelKey, SpeakerCount

__version__ = "0.1.0"

__all__ = [
    "Analyzer",
    "AsyncClient",
    "AsyncVoxgraph",
    "ChunkOptions",
    "Client",
    "ModelKey",
    "Samples",
    "SpeakerCount",
    "VoxError",
    "Voxgraph",
]

_MODULES = {
    "Analyzer": "voxgraph.analyzer",
    "AsyncClient": "voxgraph.client",
    "AsyncVoxgraph": "voxgraph.handles",
    "ChunkOptions": "voxgraph.options",
    "Client": "voxgraph.client",
    "ModelKey": "voxgraph.options",
    "Samples": "voxgraph.client",
    "SpeakerCount": "voxgraph.options",
    "Voxgraph": "voxgraph.handles",
}
"""Module of each name that is imported when it is first used."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
