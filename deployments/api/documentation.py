"""OpenAPI of the endpoints that parse the body themselves, which FastAPI therefore cannot document."""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from deployments.api.errors import STATUS, ErrorAnswer
from deployments.api.negotiation import EVENTS, NDJSON, STREAMS
from deployments.api.schemas.events import StreamedLine
from voxgraph.formats import FORMATS

_OF_WHAT_IS_KEPT = {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.GONE}


def _errors(statuses: Iterable[HTTPStatus]) -> dict[int | str, dict[str, Any]]:
    return {int(each): {"model": ErrorAnswer, "description": each.phrase} for each in sorted(statuses)}


RESPONSES = _errors({*STATUS.values()} - _OF_WHAT_IS_KEPT)
"""Error responses that every endpoint about a recording may return."""
GALLERY_RESPONSES = _errors({*STATUS.values(), HTTPStatus.FORBIDDEN})
"""Error responses of endpoints about galleries."""

_TEXT = {"schema": {"type": "string"}}


def written_as(formats: Sequence[str], *, is_streamed: bool = False) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` of an endpoint whose answer can also be written in other formats than JSON."""
    types = dict.fromkeys(FORMATS[name].media_type.partition(";")[0] for name in formats)
    content = dict.fromkeys(types, _TEXT)
    if is_streamed:
        content |= {
            STREAMS[NDJSON]: {"schema": StreamedLine.model_json_schema()}, STREAMS[EVENTS]: _TEXT,
        }  # fmt: skip
    return {200: {"content": content, "description": "The answer in the chosen format."}}


ANY_AUDIO = "audio/*"
_BINARY = {"type": "string", "format": "binary"}


def takes_recording(options: type[BaseModel] | None = None, media_type: str = ANY_AUDIO) -> dict[str, Any]:
    """Return the ``openapi_extra`` of an endpoint that takes a file, as the body or in a form, and options.

    `media_type` is the content type of a recording that is the whole body; for the rest see `takes_form`.
    """
    documented = takes_form(("file",), options)
    documented["requestBody"]["content"][media_type] = {"schema": _BINARY}
    return documented


def takes_form(
    files: tuple[str, ...], options: type[BaseModel] | None = None, *, many: bool = False
) -> dict[str, Any]:
    """Return the ``openapi_extra`` of an endpoint that takes a form with the file fields `files`.

    Each of them may be repeated if `many`. The fields of `options` become query parameters and form fields.
    """
    properties = {} if options is None else options.model_json_schema(mode="validation")["properties"]
    file = {"type": "array", "minItems": 1, "items": _BINARY} if many else _BINARY
    fields = dict.fromkeys(files, file) | properties
    schema = {"type": "object", "required": list(files), "properties": fields}
    return {
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": described.get("description", ""),
                "schema": {"type": "string"} if described.get("type") == "array" else described,
            }
            for name, described in properties.items()
        ],
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}},
    }
