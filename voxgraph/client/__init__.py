"""The HTTP client: ``voxgraph.Client(url).detect_language("clip.m4a")``. It needs httpx2 and numpy."""

from voxgraph.client.enrolling import ManifestOutcome
from voxgraph.client.events import BatchAnswer, Done, Event
from voxgraph.client.http import AsyncClient, Client
from voxgraph.client.manifest import ManifestLine, ManifestPerson, read_manifest
from voxgraph.client.recordings import Recording, Samples
from voxgraph.results import Progress, Received, TaskAnswer, TaskFailure

__all__ = [
    "AsyncClient",
    "BatchAnswer",
    "Client",
    "Done",
    "Event",
    "ManifestLine",
    "ManifestOutcome",
    "ManifestPerson",
    "Progress",
    "Received",
    "Recording",
    "Samples",
    "TaskAnswer",
    "TaskFailure",
    "read_manifest",
]
