"""Uploaded recordings and the jobs about them, in memory, until they expire. It never writes to a disk."""

import secrets
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from config.settings import GraphStateTunables
from voxgraph.errors import InvalidRequest, NotFound, Overloaded, RateLimited
from voxgraph.graph import JobStatus, StoredJob

LEASE_S = 15.0
"""Seconds after the last renewal at which an unfinished job counts as lost."""
LOST = "The process that computed the job is gone; submit it again."


@dataclass(slots=True, eq=False)
class _Recording:
    """The pieces of an upload, which count for the client that asked for its address."""

    client: str | None
    pieces: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class _Upload:
    """A place for one recording under a key."""

    key: str
    expires_at: float
    recording: _Recording
    """What has arrived."""
    writer: str = ""
    """The request that uploads, or has uploaded."""
    is_complete: bool = False

    def begin_anew(self, writer: str) -> None:
        """Leave what has arrived to the jobs about it, and wait for the pieces of a request."""
        self.recording, self.writer, self.is_complete = _Recording(self.recording.client), writer, False


@dataclass(slots=True)
class _Job:
    record: StoredJob
    client: str | None
    recording: _Recording | None
    """The recording, which stays here until the job ends even if another one takes its key."""
    renewed_at: float
    expires_at: float

    def end(self, record: StoredJob, expires_at: float) -> None:
        """Store the outcome and forget the recording."""
        self.record, self.recording, self.expires_at = record, None, expires_at


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

    async def open_upload(self, key: str, client: str | None = None) -> str:
        """Return a token that nobody can guess, with which the recording of a key can be uploaded.

        Args:
            key: Name of the recording.
            client: Who asks, and whose share the upload counts for; None has no share of its own.

        Raises:
            RateLimited: The client has its share of the uploads.
            Overloaded: There are `GraphStateTunables.max_jobs` uploads.
        """
        self.expire()
        own = sum(upload.recording.client == client for upload in self._uploads.values())
        share = self._share(self._tunables.max_jobs)
        if client is not None and own >= share:
            raise RateLimited(f"{own} uploads of yours are kept, your share; they expire.")
        if len(self._uploads) >= self._tunables.max_jobs:
            raise Overloaded(f"{len(self._uploads)} uploads are kept, the limit; they expire.")
        token = secrets.token_urlsafe(24)
        self._uploads[token] = _Upload(key, self._clock() + self._tunables.job_keep_s, _Recording(client))
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
            RateLimited: The recordings of the upload's client would exceed its share of the bytes.
            Overloaded: The recordings in memory would exceed `GraphStateTunables.max_media_bytes`.
        """
        upload = self._upload(token)
        if number == 0:
            upload.begin_anew(writer)
        if writer != upload.writer or number != len(upload.recording.pieces):
            raise InvalidRequest("Another request uploads to the same address.")
        try:
            self._check_bytes(len(piece), upload.recording.client)
        except Overloaded:
            upload.begin_anew(writer)
            raise
        upload.recording.pieces.append(piece)

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
            upload.begin_anew(writer)

    async def add_job(self, key: str, client: str | None = None) -> StoredJob:
        """Start a job about the recording of a key; it must be renewed every few seconds until it ends.

        Args:
            key: Name of the recording.
            client: Who asks, and whose share the job counts for; None has no share of its own.

        Raises:
            NotFound: There is no recording under the key.
            RateLimited: The client has its share of the jobs, and none of them has ended.
            Overloaded: There are `GraphStateTunables.max_jobs` unfinished jobs.
        """
        self.expire()
        upload = self._complete.get(key)
        if upload is None or not upload.is_complete:
            raise NotFound("There is no recording of this name: it was not uploaded, or has expired.")
        self._make_room(client)
        now = self._clock()
        record = StoredJob(str(uuid.uuid4()), JobStatus.CREATED, self._wall_clock(), self._wall_clock())
        keep_s = self._tunables.job_keep_s
        self._jobs[record.id] = _Job(record, client, upload.recording, now, now + keep_s)
        return record

    async def job(self, job_id: str) -> StoredJob:
        """Return a job; raises `NotFound`."""
        return self._job(job_id).record

    async def piece(self, job_id: str, number: int) -> bytes | None:
        """Return a piece of the recording of an unfinished job, None after the last; raises `NotFound`."""
        recording = self._job(job_id).recording
        pieces = [] if recording is None else recording.pieces
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
        record = replace(job.record, status=status, updated_at=self._wall_clock(), output=output)
        if status.is_final:
            job.end(record, now + self._tunables.job_keep_s)
        else:
            job.record, job.renewed_at = record, now

    def expire(self) -> None:
        """Drop what has expired, and fail the jobs that nobody works on any more."""
        now = self._clock()
        for job in self._jobs.values():
            if not job.record.status.is_final:
                job.expires_at = max(job.expires_at, now + 1)
                if now - job.renewed_at > LEASE_S:
                    lost = replace(
                        job.record, status=JobStatus.FAILED, updated_at=self._wall_clock(), output=LOST
                    )
                    job.end(lost, now + self._tunables.job_keep_s)
        self._jobs = {name: job for name, job in self._jobs.items() if job.expires_at > now}
        self._uploads = {name: kept for name, kept in self._uploads.items() if kept.expires_at > now}
        self._complete = {key: kept for key, kept in self._complete.items() if kept.expires_at > now}

    def _make_room(self, client: str | None) -> None:
        """Drop the oldest job that has ended if there are too many, of this client or of all.

        Raises `RateLimited` or `Overloaded` if none has ended.
        """
        own = [name for name, job in self._jobs.items() if client is not None and job.client == client]
        has_share = len(own) >= self._share(self._tunables.max_jobs)
        if not has_share and len(self._jobs) < self._tunables.max_jobs:
            return
        among = own if has_share else list(self._jobs)
        ended = next((name for name in among if self._jobs[name].record.status.is_final), None)
        if ended is None and has_share:
            raise RateLimited(f"{len(own)} jobs of yours are unfinished, your share; wait for their results.")
        if ended is None:
            raise Overloaded(f"{len(among)} jobs are unfinished, the limit; try again in a moment.")
        del self._jobs[ended]

    def _check_bytes(self, more: int, client: str | None) -> None:
        """Raise `RateLimited` or `Overloaded` if there is no room for more bytes of a client."""
        kept = {upload.recording for upload in self._uploads.values()}
        kept |= {job.recording for job in self._jobs.values() if job.recording is not None}
        held = Counter[str | None]()
        for recording in kept:
            held[recording.client] += sum(map(len, recording.pieces))
        limit, share = self._tunables.max_media_bytes, self._share(self._tunables.max_media_bytes)
        if client is not None and held[client] + more > share:
            raise RateLimited(
                f"Your recordings that are kept would exceed {share} bytes, your share; they expire."
            )
        if held.total() + more > limit:
            raise Overloaded(
                f"The recordings that are kept would exceed {limit} bytes, the limit; they expire."
            )

    def _share(self, limit: int) -> int:
        """Return how much of a limit one client may have."""
        return max(1, int(self._tunables.max_client_share * limit))

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
