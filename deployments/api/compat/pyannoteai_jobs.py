"""Computes the jobs that were started in this process, in the background."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from deployments.api.budget import DecodedAudioBudget, Reservation
from deployments.api.compat.pyannoteai_schemas import DiarizeRequest, output_of
from deployments.api.decoders import Decoder
from deployments.api.edge import INTERNAL_ERROR
from deployments.api.fair_places import FairPlaces
from deployments.api.service import GraphAnalyzer
from voxgraph.errors import Overloaded, VoxError
from voxgraph.graph import JobStatus
from voxgraph.options import DIARIZATION_DEADLINE_S

log = logging.getLogger("ray.serve")

RETRY_S = 1.0
"""Seconds after which a job tries again that found a full queue, or no memory for its recording."""
T = TypeVar("T")


class JobRunner:
    """Computes a few jobs at a time, `GraphAnalyzer.max_running_jobs`; the others wait.

    Clients take turns, however many jobs each has. Unlike a request, a job waits for a full queue and for
    memory, until `DIARIZATION_DEADLINE_S`.
    """

    def __init__(self, analyzer: GraphAnalyzer, budget: DecodedAudioBudget, decoder: Decoder) -> None:
        self._analyzer = analyzer
        self._budget = budget
        self._decoder = decoder
        self._places = FairPlaces(lambda: analyzer.max_running_jobs)
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, job_id: str, asked: DiarizeRequest, client: str | None) -> None:
        """Compute a client's job in the background, and store its output or why it failed."""
        task = asyncio.create_task(self._run(job_id, asked, client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, job_id: str, asked: DiarizeRequest, client: str | None) -> None:
        jobs = self._analyzer.state.jobs
        try:
            async with jobs.held(job_id), self._places.place(client):
                await jobs.update(job_id, JobStatus.RUNNING)
                await jobs.update(job_id, *await self._outcome(job_id, asked, client))
        except VoxError as error:  # The state has restarted and forgotten the job, or does not answer.
            log.warning("Job %s is lost: %s", job_id, error.detail)

    async def _outcome(self, job_id: str, asked: DiarizeRequest, client: str | None) -> tuple[JobStatus, str]:
        try:
            async with asyncio.timeout(DIARIZATION_DEADLINE_S):
                return JobStatus.SUCCEEDED, await self._output(job_id, asked, client)
        except TimeoutError:
            return JobStatus.FAILED, f"The result was not ready within {DIARIZATION_DEADLINE_S:g} s."
        except VoxError as error:
            return JobStatus.FAILED, error.detail
        except Exception:
            log.exception("Job %s failed", job_id)
            return JobStatus.FAILED, INTERNAL_ERROR

    async def _output(self, job_id: str, asked: DiarizeRequest, client: str | None) -> str:
        data = b"".join([piece async for piece in self._pieces(job_id)])
        reservation = Reservation(self._budget, client)
        try:
            decoded = await _patiently(lambda: reservation.decode(self._decoder, data))
            result = await _patiently(lambda: self._analyzer.diarize(decoded.waveform, asked.speakers))
            info = await self._analyzer.info(self._analyzer.diarization_model)
        finally:
            reservation.close()
        return json.dumps(output_of(result, asked, f"{info.hub_id}, revision {info.revision}"))

    async def _pieces(self, job_id: str) -> AsyncIterator[bytes]:
        number = 0
        while (piece := await self._analyzer.state.jobs.piece(job_id, number)) is not None:
            yield piece
            number += 1


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again as long as there is no capacity."""
    while True:
        try:
            return await ask()
        except Overloaded:
            await asyncio.sleep(RETRY_S)
