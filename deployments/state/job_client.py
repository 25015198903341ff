"""Client of the `JobBoard` in `GraphState`, for the jobs that an ingress replica keeps there."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from ray.serve.handle import DeploymentHandle

from deployments.state.leases import keep_renewed
from deployments.transport.calls import direct
from voxgraph.calls import Deadline, call
from voxgraph.graph import JobStatus, StoredJob

TIMEOUT_S = 5.0


class JobClient:
    """Implements `deployments.api.service.JobStore`; the methods are those of `JobBoard`.

    Pieces of recordings go from process to process without Ray's object store, which a node could spill.
    """

    def __init__(self, handle: DeploymentHandle) -> None:
        self._direct, self._by_reference = direct(handle), handle

    async def open_upload(self, key: str, client: str | None = None) -> str:
        """Return a token with which a client can upload the recording of a key."""
        token: str = await self._ask("open_upload", key, client)
        return token

    async def add_piece(self, token: str, writer: str, number: int, piece: bytes) -> None:
        """Add a piece of a recording, of at most `DIRECT_BYTES`."""
        await self._ask("add_piece", token, writer, number, piece)

    async def finish_upload(self, token: str, writer: str) -> None:
        """Make a recording available under its key."""
        await self._ask("finish_upload", token, writer)

    async def drop_upload(self, token: str, writer: str) -> None:
        """Forget an upload that broke off."""
        await self._ask("drop_upload", token, writer)

    async def add_job(self, key: str, client: str | None = None) -> StoredJob:
        """Start a job of a client about the recording of a key."""
        job: StoredJob = await self._ask("add_job", key, client)
        return job

    async def job(self, job_id: str) -> StoredJob:
        """Return a job."""
        job: StoredJob = await self._ask("job", job_id, handle=self._by_reference)
        return job

    async def piece(self, job_id: str, number: int) -> bytes | None:
        """Return a piece of the recording of a job, None after the last."""
        piece: bytes | None = await self._ask("piece", job_id, number)
        return piece

    async def update(self, job_id: str, status: JobStatus, output: str = "") -> None:
        """Change the status of a job; its output may have megabytes."""
        await self._ask("update", job_id, status, output, handle=self._by_reference)

    @contextlib.asynccontextmanager
    async def held(self, job_id: str) -> AsyncIterator[None]:
        """Renew a job until the block ends."""
        async with keep_renewed(lambda: self._ask("renew", job_id)):
            yield

    async def _ask(self, method: str, *arguments: Any, handle: DeploymentHandle | None = None) -> Any:
        asked = handle or self._direct
        return await call(lambda: asked.ask_jobs.remote(method, *arguments), Deadline.after(TIMEOUT_S))
