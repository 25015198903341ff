"""The HTTP client: ``voxgraph.Client(url).detect_language("clip.m4a")``. It needs httpx2 and numpy."""

from voxgraph.client.events import BatchAnswer, Done, Event
from voxgraph.client.http import AsyncClient, Client
from voxgraph.client.recordings import Recording, Samples
from voxgraph.results import Progress, Received, TaskAnswer, TaskFailure

__all__ = [
    "AsyncClient",
    "BatchAnswer",
    "Client",
    "Done",
    "Event",
    "Progress",
    "Received",
    "Recording",
    "Samples",
    "TaskAnswer",
    "TaskFailure",
]
