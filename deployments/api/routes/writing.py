"""The endpoint that writes turns in the formats of other tools, without the recording."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import ValidationError
from starlette.responses import Response

from deployments.api.body import check_content_length, read_limited
from deployments.api.errors import validation_message
from deployments.api.schemas.given_turns import GivenTurns
from voxgraph.errors import InvalidOptions
from voxgraph.formats import FORMATS, TURN_FORMATS, uri_of, write

router = APIRouter(prefix="/v1", tags=["service"])

MAX_TURNS_BYTES = 16 * 1024 * 1024
"""Most bytes of a body: about 200,000 turns, more than a day of conversation."""
DOCUMENTED_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True, "content": {"application/json": {"schema": GivenTurns.model_json_schema()}},
    }
}  # fmt: skip


async def _read_body(request: Request) -> bytes:
    check_content_length(request, MAX_TURNS_BYTES)
    return b"".join([chunk async for chunk in read_limited(request, MAX_TURNS_BYTES)])


Format = Annotated[str, Query(json_schema_extra={"enum": list(TURN_FORMATS)})]


@router.post(
    "/format",
    openapi_extra=DOCUMENTED_BODY,
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "The file."}},
)
async def format_turns(format: Format, body: Annotated[bytes, Depends(_read_body)]) -> Response:
    """Write the turns of an answer in another format, with the names that their speakers were given.

    Raises `InvalidOptions` if there is no such format, or the body is not such an answer.
    """
    text = await asyncio.to_thread(_written, format, body)
    return Response(text, media_type=FORMATS[format].media_type)


def _written(format: str, body: bytes) -> str:
    """Parse and write, in a thread: ten hours take a tenth of a second."""
    try:
        given = GivenTurns.model_validate_json(body)
    except ValidationError as error:
        raise InvalidOptions(validation_message(error.errors())) from error
    return write(
        given.diarization_results,
        format,
        uri=uri_of(given.uri),
        duration_s=given.audio_duration,
        names=given.names,
    )
