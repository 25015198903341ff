"""The HTTP client: ``voxgraph.Client(url).detect_language("clip.m4a")``. It needs httpx2 and numpy."""

from voxgraph.client.events import BatchAnswer, Done, Event, Progress, Received, TaskAnswer, TaskFailure
from voxgraph.client.http import AsyncClient, Client
from voxgraph.client.recordings import Recording, Samples

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
