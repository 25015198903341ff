"""What the routes need: the methods of `voxgraph.analyzer.Analyzer` and the state of the graph.

The ingress implements both with deployment handles, the tests with a fake.
"""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from deployments.galleries import GalleryStore
from voxgraph.analyzer import Analyzer
from voxgraph.graph import CacheInfo, CleanupStatus, Counts, JobStatus, KeyUse, QueueStatus, StoredJob
from voxgraph.options import ModelKey


class JobStore(Protocol):
    """Uploaded recordings and the jobs about them, which every ingress replica finds.

    The methods are those of `deployments.state.jobs.JobBoard`, which says what they raise.
    """

    async def open_upload(self, key: str, client: str | None = None) -> str:
        """Return a token with which a client can upload the recording of a key."""
        ...

    async def add_piece(self, token: str, writer: str, number: int, piece: bytes) -> None:
        """Add a piece of a recording; piece 0 starts it anew."""
        ...

    async def finish_upload(self, token: str, writer: str) -> None:
        """Make a recording available under its key, in place of an older one."""
        ...

    async def drop_upload(self, token: str, writer: str) -> None:
        """Forget an upload that broke off."""
        ...

    async def add_job(self, key: str, client: str | None = None) -> StoredJob:
        """Start a job of a client about the recording of a key."""
        ...

    async def job(self, job_id: str) -> StoredJob:
        """Return a job."""
        ...

    async def piece(self, job_id: str, number: int) -> bytes | None:
        """Return a piece of the recording of an unfinished job, None after the last."""
        ...

    async def update(self, job_id: str, status: JobStatus, output: str = "") -> None:
        """Change the status of a job that has not ended."""
        ...

    def held(self, job_id: str) -> AbstractAsyncContextManager[None]:
        """Keep a job alive until the block ends."""
        ...


class StateClient(Protocol):
    """The state that all ingress replicas share; its figures cover the whole graph."""

    @property
    def jobs(self) -> JobStore:
        """Uploaded recordings and the jobs about them."""
        ...

    def admitted(self, request_id: str) -> AbstractAsyncContextManager[None]:
        """Wait for an admission slot and hold it, until a deadline."""
        ...

    def observe(self, path: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        ...

    def observe_key(self, name: str, status: int) -> None:
        """Count an answered request of an API key."""
        ...

    def using_key(
        self, key: str, per_minute: int | None, at_a_time: int | None
    ) -> AbstractAsyncContextManager[KeyUse]:
        """Count a request of a key, by its hash, until the block ends; None: the key has no such limit."""
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

    async def forget_results(self) -> None:
        """Drop all cached results, here now and elsewhere soon; it never fails."""
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
    def gallery(self) -> GalleryStore | None:
        """What keeps the galleries; None in a graph without state."""
        ...

    @property
    def max_requests(self) -> int:
        """Recordings that one ingress replica processes at a time."""
        ...

    def deadline_s(self, diarizes: bool) -> float:
        """Return the seconds that a request may take from the beginning of its decoding."""
        ...

    @property
    def max_running_jobs(self) -> int:
        """Jobs that one ingress replica computes at a time."""
        ...

    @property
    def diarization_model(self) -> ModelKey:
        """The pipeline that diarizes."""
        ...
