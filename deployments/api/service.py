"""What the routes ask: the questions of `voxgraph.analyzer.Analyzer`, and the state of the graph.

The ingress implements it with deployment handles, the tests with a fake.
"""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from voxgraph.analyzer import Analyzer
from voxgraph.graph import CacheInfo, CleanupStatus, Counts, QueueStatus
from voxgraph.options import ModelKey


class StateClient(Protocol):
    """The state that all replicas of the ingress share; its figures are those of the whole graph."""

    def admitted(self, request_id: str) -> AbstractAsyncContextManager[None]:
        """Hold a place among the requests that run at a time, until a deadline."""
        ...

    def observe(self, path: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        ...

    async def counts(self) -> Counts:
        """Return requests and inferences since the start."""
        ...

    async def queue(self) -> QueueStatus:
        """Return the requests that have a place, and how many wait for one."""
        ...

    async def cache_info(self) -> CacheInfo:
        """Return the statistics of the result cache."""
        ...

    async def clear_cache(self) -> CacheInfo:
        """Forget every kept result; returns the statistics until then."""
        ...

    async def cleanup_status(self) -> CleanupStatus:
        """Return what the janitor has deleted."""
        ...

    async def clean(self) -> tuple[int, int]:
        """Delete old files of the uploads folder: their number and their bytes."""
        ...


class GraphAnalyzer(Analyzer, Protocol):
    """The questions, and what the HTTP application needs beside them."""

    @property
    def state(self) -> StateClient:
        """Cache, admission and counts."""
        ...

    @property
    def max_requests(self) -> int:
        """Recordings that one replica works on at a time."""
        ...

    @property
    def diarization_model(self) -> ModelKey:
        """Which pipeline answers who spoke when."""
        ...
