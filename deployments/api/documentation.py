"""OpenAPI of the endpoints that take a recording: FastAPI sees none of the body, so it is told here."""

from typing import Any

from pydantic import BaseModel

from deployments.api.errors import STATUS, ErrorAnswer

RESPONSES: dict[int | str, dict[str, Any]] = {
    int(status): {"model": ErrorAnswer, "description": status.phrase}
    for status in sorted(set(STATUS.values()))
}
"""The errors that any of them may answer."""

ANY_AUDIO = "audio/*"
_BINARY = {"type": "string", "format": "binary"}


def takes_recording(options: type[BaseModel] | None = None, media_type: str = ANY_AUDIO) -> dict[str, Any]:
    """The ``openapi_extra`` of an endpoint: a file, alone or in a form, with options beside it.

    Args:
        options: Its fields become query parameters and form fields.
        media_type: Of a recording that is the whole body.
    """
    documented = takes_form(("file",), options)
    documented["requestBody"]["content"][media_type] = {"schema": _BINARY}
    return documented


def takes_form(
    files: tuple[str, ...], options: type[BaseModel] | None = None, *, many: bool = False
) -> dict[str, Any]:
    """The ``openapi_extra`` of an endpoint that takes a form.

    Args:
        files: Names of the fields that hold a file each.
        options: Its fields become query parameters and form fields.
        many: Whether each of `files` may come any number of times.
    """
    properties = {} if options is None else options.model_json_schema(mode="validation")["properties"]
    one = {"type": "array", "minItems": 1, "items": _BINARY} if many else _BINARY
    schema = {"type": "object", "required": list(files), "properties": dict.fromkeys(files, one) | properties}
    return {
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": described.get("description", ""),
                "schema": {"type": "string"} if name == "tasks" else described,
            }
            for name, described in properties.items()
        ],
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}},
    }
