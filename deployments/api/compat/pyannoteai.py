"""Endpoints that pyannoteAI's SDK asks: upload a recording, start a job, poll it.

Jobs and recordings are in the memory of `GraphState`, so that every ingress replica finds them; the replica
that starts a job computes it.
"""

import asyncio
import json
import uuid
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ValidationError

from deployments.api.body import check_content_length, limits_of, read_limited
from deployments.api.compat import pyannoteai_schemas as schemas
from deployments.api.compat.pyannoteai_jobs import JobRunner
from deployments.api.dependencies import AnalyzerDep
from deployments.api.documentation import RESPONSES
from deployments.api.errors import ErrorAnswer, validation_message
from deployments.api.shares import client_of
from voxgraph.errors import EmptyAudio, InvalidOptions
from voxgraph.graph import JobStatus
from voxgraph.options import DEFAULT_TENANT

MAX_BODY_BYTES = 64 * 1024
PIECE_BYTES = 512 * 1024
"""Bytes of a recording that are sent to the state at a time, and asked back."""
Body = TypeVar("Body", bound=BaseModel)

router = APIRouter(
    prefix="/v1",
    tags=["pyannoteai"],
    responses={**RESPONSES, 404: {"model": ErrorAnswer, "description": "Not Found"}},
)


@router.get("/test")
async def test() -> schemas.OkAnswer:
    """Say that the key is accepted; the SDK asks this first. A graph without API keys accepts every key."""
    return schemas.OkAnswer()


async def _read_body(request: Request) -> bytes:
    check_content_length(request, MAX_BODY_BYTES)
    return b"".join([chunk async for chunk in read_limited(request, MAX_BODY_BYTES)])


BodyDep = Annotated[bytes, Depends(_read_body)]


def _parse(model: type[Body], body: bytes) -> Body:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise InvalidOptions(validation_message(error.errors())) from error


def _takes(model: type[BaseModel]) -> dict[str, Any]:
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


def _owned(request: Request, url: str) -> str:
    """Return the name of a recording among all tenants: who guesses a name hears none but their own."""
    return f"{getattr(request.state, 'tenant', DEFAULT_TENANT)} {url}"


@router.post("/media/input", status_code=201, openapi_extra=_takes(schemas.MediaInput))
async def media_input(request: Request, body: BodyDep, analyzer: AnalyzerDep) -> schemas.MediaAddress:
    """Return the address to which the recording of a ``media://`` URL is to be PUT."""
    key = _owned(request, _parse(schemas.MediaInput, body).url)
    token = await analyzer.state.jobs.open_upload(key, client_of(request.scope))
    scheme = request.headers.get("x-forwarded-proto", "").lower()
    url = request.url_for("put_media", token=token)
    return schemas.MediaAddress(url=str(url.replace(scheme=scheme) if scheme in ("http", "https") else url))


@router.put(
    "/media/upload/{token}",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def put_media(token: str, request: Request, analyzer: AnalyzerDep) -> schemas.OkAnswer:
    """Take in a recording; it is kept in memory, and not decoded before a job asks for it."""
    limit, jobs = limits_of(request).max_upload_bytes, analyzer.state.jobs
    check_content_length(request, limit)
    writer, waiting, number = uuid.uuid4().hex, bytearray(), 0
    try:
        async for chunk in read_limited(request, limit):
            waiting += chunk
            while len(waiting) >= PIECE_BYTES:
                await jobs.add_piece(token, writer, number, bytes(waiting[:PIECE_BYTES]))
                del waiting[:PIECE_BYTES]
                number += 1
        if not waiting and not number:
            raise EmptyAudio("The recording is empty: 0 bytes.")
        if waiting:
            await jobs.add_piece(token, writer, number, bytes(waiting))
    except BaseException:
        await asyncio.shield(jobs.drop_upload(token, writer))
        raise
    await jobs.finish_upload(token, writer)
    return schemas.OkAnswer()


@router.post("/diarize", openapi_extra=_takes(schemas.DiarizeRequest))
async def diarize(request: Request, body: BodyDep, analyzer: AnalyzerDep) -> schemas.JobAnswer:
    """Start to diarize an uploaded recording; ask ``/v1/jobs/{jobId}`` for the result."""
    asked = _parse(schemas.DiarizeRequest, body)
    _ = asked.speakers  # raises InvalidOptions
    client = client_of(request.scope)
    job = await analyzer.state.jobs.add_job(_owned(request, asked.url), client)
    runner: JobRunner = request.app.state.job_runner
    runner.start(job.id, asked, client)
    return schemas.JobAnswer(jobId=job.id, status=job.status)


@router.get("/jobs/{job_id}", response_model_exclude_none=True)
async def job(job_id: str, analyzer: AnalyzerDep) -> schemas.JobDetails:
    """Return whether a job has ended, and its result."""
    found = await analyzer.state.jobs.job(job_id)
    output: Any = None
    if found.status is JobStatus.SUCCEEDED:
        output = await asyncio.to_thread(json.loads, found.output)
    elif found.status is JobStatus.FAILED:
        output = {"error": found.output}
    return schemas.JobDetails.from_job(found, output)
