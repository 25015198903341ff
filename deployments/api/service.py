"""What the routes need: the methods of `voxgraph.analyzer.Analyzer` and the state of the graph.

The ingress implements both with deployment handles, the tests with a fake.
"""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from voxgraph.analyzer import Analyzer
from voxgraph.graph import CacheInfo, CleanupStatus, Counts, QueueStatus
from voxgraph.options import ModelKey


class StateClient(Protocol):
    """The state that all ingress replicas share; its figures cover the whole graph."""

    def admitted(self, request_id: str) -> AbstractAsyncContextManager[None]:
        """Wait for an admission slot and hold it, until a deadline."""
        ...

    def observe(self, path: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        ...

    async def counts(self) -> Counts:
        """Return the requests and inferences since the graph started."""
        ...

    async def queue(self) -> QueueStatus:
        """Return the admitted requests and the number that wait."""
        ...

    async def cache_info(self) -> CacheInfo:
        """Return the statistics of the result cache."""
        ...

    async def clear_cache(self) -> CacheInfo:
        """Clear the result cache and return its statistics from before."""
        ...

    async def cleanup_status(self) -> CleanupStatus:
        """Return what the janitor has deleted."""
        ...

    async def clean(self) -> tuple[int, int]:
        """Delete old files of the uploads folder; return their number and their bytes."""
        ...


class GraphAnalyzer(Analyzer, Protocol):
    """An analyzer with what the HTTP application needs besides its methods."""

    @property
    def state(self) -> StateClient:
        """Cache, admission and statistics of the graph."""
        ...

    @property
    def max_requests(self) -> int:
        """Recordings that one ingress replica processes at a time."""
        ...

    @property
    def diarization_model(self) -> ModelKey:
        """The pipeline that diarizes."""
        ...
