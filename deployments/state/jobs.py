"""Uploaded recordings and the jobs about them, in memory, until they expire. It never writes to a disk."""

import secrets
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from config.settings import GraphStateTunables
from voxgraph.errors import InvalidRequest, NotFound, Overloaded
from voxgraph.graph import JobStatus, StoredJob

LEASE_S = 15.0
"""Seconds after the last renewal at which an unfinished job counts as lost."""
LOST = "The process that computed the job is gone; submit it again."


@dataclass(slots=True)
class _Upload:
    """A place for one recording under a key: its pieces while they arrive."""

    key: str
    expires_at: float
    writer: str = ""
    """The request that uploads, or has uploaded."""
    pieces: list[bytes] = field(default_factory=list)
    is_complete: bool = False


@dataclass(slots=True)
class _Job:
    record: StoredJob
    pieces: list[bytes]
    """The recording, which stays here until the job ends even if another one takes its key."""
    renewed_at: float
    expires_at: float


class JobBoard:
    """Uploads by key, and jobs by id; `clock` is monotonic and `wall_clock` Unix time, in seconds.

    Its methods are coroutines, so that it can stand for the one in another process. What has expired is
    dropped whenever a method is called, and by `expire`.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._tunables = GraphStateTunables()
        self._clock = clock
        self._wall_clock = wall_clock
        self._uploads: dict[str, _Upload] = {}
        """Uploads by token; the oldest is first."""
        self._complete: dict[str, _Upload] = {}
        """The newest complete upload of each key."""
        self._jobs: dict[str, _Job] = {}

    def reconfigure(self, tunables: GraphStateTunables) -> None:
        """Apply new limits; what is stored stays until it expires."""
        self._tunables = tunables

    async def open_upload(self, key: str) -> str:
        """Return a token that nobody can guess, with which the recording of a key can be uploaded.

        Raises:
            Overloaded: There are `GraphStateTunables.max_jobs` uploads.
        """
        self.expire()
        if len(self._uploads) >= self._tunables.max_jobs:
            raise Overloaded(f"{len(self._uploads)} uploads are kept, the limit; they expire.")
        token = secrets.token_urlsafe(24)
        self._uploads[token] = _Upload(key, self._clock() + self._tunables.job_keep_s)
        return token

    async def add_piece(self, token: str, writer: str, number: int, piece: bytes) -> None:
        """Add a piece of a recording; piece 0 starts it anew.

        Args:
            token: Of `open_upload`.
            writer: Name of the request that uploads, which nobody else has.
            number: Number of the piece, from 0.
            piece: Its bytes.

        Raises:
            NotFound: No upload has this token.
            InvalidRequest: Another request has begun to upload to the same address.
            Overloaded: The recordings in memory would exceed `GraphStateTunables.max_media_bytes`.
        """
        upload = self._upload(token)
        if number == 0:
            # A job about the recording that was here before keeps its pieces.
            upload.writer, upload.pieces, upload.is_complete = writer, [], False
        if writer != upload.writer or number != len(upload.pieces):
            raise InvalidRequest("Another request uploads to the same address.")
        if self._bytes() + len(piece) > self._tunables.max_media_bytes:
            await self.drop_upload(token, writer)
            raise Overloaded(
                f"The recordings that are kept would exceed {self._tunables.max_media_bytes} bytes, the "
                "limit; they expire."
            )
        upload.pieces.append(piece)

    async def finish_upload(self, token: str, writer: str) -> None:
        """Make a recording available under its key, in place of an older one; raises as `add_piece` does."""
        upload = self._upload(token)
        if writer != upload.writer:
            raise InvalidRequest("Another request uploads to the same address.")
        upload.is_complete, upload.expires_at = True, self._clock() + self._tunables.job_keep_s
        older = self._complete.get(upload.key)
        if older is not None and older is not upload:
            self._uploads = {name: kept for name, kept in self._uploads.items() if kept is not older}
        self._complete[upload.key] = upload

    async def drop_upload(self, token: str, writer: str) -> None:
        """Forget what a request that broke off has uploaded; the token can be used again."""
        upload = self._uploads.get(token)
        if upload is not None and upload.writer == writer:
            upload.pieces, upload.is_complete = [], False

    async def add_job(self, key: str) -> StoredJob:
        """Start a job about the recording of a key; it must be renewed every few seconds until it ends.

        Raises:
            NotFound: There is no recording under the key.
            Overloaded: There are `GraphStateTunables.max_jobs` unfinished jobs.
        """
        self.expire()
        upload = self._complete.get(key)
        if upload is None or not upload.is_complete:
            raise NotFound("There is no recording of this name: it was not uploaded, or has expired.")
        self._make_room()
        now = self._clock()
        record = StoredJob(str(uuid.uuid4()), JobStatus.CREATED, self._wall_clock(), self._wall_clock())
        keep_s = self._tunables.job_keep_s
        self._jobs[record.id] = _Job(record, upload.pieces, now, now + keep_s)
        return record

    async def job(self, job_id: str) -> StoredJob:
        """Return a job; raises `NotFound`."""
        return self._job(job_id).record

    async def piece(self, job_id: str, number: int) -> bytes | None:
        """Return a piece of the recording of an unfinished job, None after the last; raises `NotFound`."""
        pieces = self._job(job_id).pieces
        return pieces[number] if number < len(pieces) else None

    async def renew(self, job_id: str) -> None:
        """Say that a job is still worked on; raises `NotFound`."""
        self._job(job_id).renewed_at = self._clock()

    async def update(self, job_id: str, status: JobStatus, output: str = "") -> None:
        """Change the status of a job, unless it has ended; raises `NotFound`.

        Args:
            job_id: Id of the job.
            status: The new status.
            output: JSON of the result of a job that succeeded, or the error of one that failed.
        """
        job = self._job(job_id)
        if job.record.status.is_final:
            return
        now = self._clock()
        job.record = replace(job.record, status=status, updated_at=self._wall_clock(), output=output)
        job.renewed_at = now
        if status.is_final:
            job.pieces, job.expires_at = [], now + self._tunables.job_keep_s

    def expire(self) -> None:
        """Drop what has expired, and fail the jobs that nobody works on any more."""
        now = self._clock()
        for job in self._jobs.values():
            if not job.record.status.is_final:
                job.expires_at = max(job.expires_at, now + 1)
                if now - job.renewed_at > LEASE_S:
                    job.record = replace(
                        job.record, status=JobStatus.FAILED, updated_at=self._wall_clock(), output=LOST
                    )
                    job.pieces, job.expires_at = [], now + self._tunables.job_keep_s
        self._jobs = {name: job for name, job in self._jobs.items() if job.expires_at > now}
        self._uploads = {name: kept for name, kept in self._uploads.items() if kept.expires_at > now}
        self._complete = {key: kept for key, kept in self._complete.items() if kept.expires_at > now}

    def _make_room(self) -> None:
        """Drop the oldest job that has ended if there are too many; raise `Overloaded` if none has."""
        if len(self._jobs) < self._tunables.max_jobs:
            return
        ended = next((name for name, job in self._jobs.items() if job.record.status.is_final), None)
        if ended is None:
            raise Overloaded(f"{len(self._jobs)} jobs are unfinished, the limit; try again in a moment.")
        del self._jobs[ended]

    def _bytes(self) -> int:
        """Return the bytes of all recordings, each counted once."""
        kept = {id(pieces): pieces for pieces in self._recordings()}
        return sum(len(piece) for pieces in kept.values() for piece in pieces)

    def _recordings(self) -> Iterator[list[bytes]]:
        for upload in self._uploads.values():
            yield upload.pieces
        for job in self._jobs.values():
            yield job.pieces

    def _upload(self, token: str) -> _Upload:
        self.expire()
        if token not in self._uploads:
            raise NotFound("There is no such upload; ask /v1/media/input for a new address.")
        return self._uploads[token]

    def _job(self, job_id: str) -> _Job:
        self.expire()
        if job_id not in self._jobs:
            keep_s = self._tunables.job_keep_s
            raise NotFound(f"There is no such job; jobs are kept in memory for {keep_s:g} s after they end.")
        return self._jobs[job_id]
