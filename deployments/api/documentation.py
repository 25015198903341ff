"""OpenAPI of the endpoints that take a recording: FastAPI sees none of the body, so it is told here."""

from typing import Any

from pydantic import BaseModel

from deployments.api.errors import STATUS, ErrorAnswer

RESPONSES: dict[int | str, dict[str, Any]] = {
    int(status): {"model": ErrorAnswer, "description": status.phrase}
    for status in sorted(set(STATUS.values()))
}
"""The errors that any of them may answer."""


def takes_recording(options: type[BaseModel] | None = None) -> dict[str, Any]:
    """The ``openapi_extra`` of an endpoint: a file, alone or in a form, with options beside it.

    Args:
        options: Its fields become query parameters and form fields.
    """
    properties = {} if options is None else options.model_json_schema(mode="validation")["properties"]
    form = {"file": {"type": "string", "format": "binary", "description": "The recording."}, **properties}
    return {
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": schema.get("description", ""),
                "schema": {"type": "string"} if name == "tasks" else schema,
            }
            for name, schema in properties.items()
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {"type": "object", "required": ["file"], "properties": form},
                },
                "audio/*": {"schema": {"type": "string", "format": "binary"}},
            },
        },
    }
