"""Turn errors into responses: one table from error class to status, one body for all of them.

Every 4xx and 5xx, including those of the web framework, has the body
``{"detail", "error_type", "code", "timestamp", "request_id"}``.
"""

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from deployments.api.claims import TriedInVain
from deployments.api.edge import REFUSALS, RETRY_AFTER_S
from voxgraph import errors

ErrorType = Literal["ValidationError", "ProcessingError", "ModelError"]

STATUS: dict[type[errors.VoxError], HTTPStatus] = {
    errors.VoxError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.InvalidAudio: HTTPStatus.BAD_REQUEST,
    errors.EmptyAudio: HTTPStatus.BAD_REQUEST,
    errors.UnsupportedAudio: HTTPStatus.BAD_REQUEST,
    errors.CorruptAudio: HTTPStatus.BAD_REQUEST,
    errors.UndecodableAudio: HTTPStatus.BAD_REQUEST,
    errors.DecodingTooCostly: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.AudioTooShort: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.AudioTooLong: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.NoSpeech: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NonFiniteAudio: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidRequest: HTTPStatus.BAD_REQUEST,
    errors.UnsupportedEncoding: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.UnreadableBody: HTTPStatus.BAD_REQUEST,
    errors.UploadTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.UploadMissing: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidOptions: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Erased: HTTPStatus.GONE,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.ConsentMissing: HTTPStatus.CONFLICT,
    errors.SpeakerOptedOut: HTTPStatus.CONFLICT,
    errors.NotAcceptable: HTTPStatus.NOT_ACCEPTABLE,
    errors.InvalidEmbedding: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnreadableEmbedding: HTTPStatus.BAD_REQUEST,
    errors.SpaceMismatch: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ModelError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.CheckpointError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ModelUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.GalleryUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.InferenceError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.DeadlineExceeded: HTTPStatus.REQUEST_TIMEOUT,
    errors.Overloaded: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
}
"""HTTP status of every error that voxgraph raises on purpose."""

INTERNAL_ERROR = REFUSALS[500][0]
CLIENT_CLOSED_REQUEST = 499
RETRIED = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
"""Statuses with a ``Retry-After`` header, but for a graph without galleries, which no time will give it."""


class ErrorAnswer(BaseModel):
    """The body of every 4xx and 5xx."""

    detail: str
    error_type: ErrorType
    code: str
    timestamp: datetime | None
    """None where HAProxy refuses, whose pages are files."""
    request_id: str


def error_answer(request: Request, detail: str, kind: ErrorType, code: str) -> ErrorAnswer:
    """Return the body of an error."""
    request_id = getattr(request.state, "request_id", "")
    return ErrorAnswer(
        detail=detail, error_type=kind, code=code, timestamp=datetime.now(UTC), request_id=request_id
    )


def vox_error_answer(request: Request, error: errors.VoxError) -> ErrorAnswer:
    """Return the body of a `VoxError`."""
    return error_answer(request, error.detail, error_type(error), error.code)


def error_response(
    request: Request, status: int, detail: str, kind: ErrorType, code: str, *, may_pass: bool = True
) -> Response:
    """Return a response with the error body; one that may pass has ``Retry-After``, from the recent times."""
    body = error_answer(request, detail, kind, code)
    headers = {"retry-after": str(_retry_after_s(request))} if may_pass and status in RETRIED else None
    return JSONResponse(body.model_dump(mode="json"), status, headers)


def _retry_after_s(request: Request) -> int:
    if "app" not in request.scope:
        return RETRY_AFTER_S
    state = request.app.state
    seconds: int = state.pace.refuse(state.analyzer.max_requests)
    return seconds


def validation_message(failures: Iterable[Any]) -> str:
    """Join pydantic's error details into one line, each with the name of its value."""
    return "; ".join(
        f"{'.'.join(map(str, each['loc'])) or 'options'}: {each['msg'].removeprefix('Value error, ')}"
        for each in failures
    )


def error_type(error: errors.VoxError) -> ErrorType:
    """Classify an error as the caller's fault, a model's, or that of the processing."""
    if isinstance(error, errors.InvalidAudio | errors.InvalidRequest):
        return "ValidationError"
    return "ModelError" if isinstance(error, errors.ModelError) else "ProcessingError"


async def vox_error_response(request: Request, error: Exception) -> Response:
    """Return the response to a `VoxError`."""
    assert isinstance(error, errors.VoxError)
    # A handle call raises a class that Ray derives from the error's own.
    base = next(base for base in type(error).__mro__ if base in STATUS)
    kind = error_type(error)
    may_pass = not (base is errors.GalleryUnavailable and request.app.state.analyzer.gallery is None)
    response = error_response(request, STATUS[base], error.detail, kind, base.code, may_pass=may_pass)
    if isinstance(error, TriedInVain):
        response.headers["retry-after"] = str(math.ceil(error.retry_after_s))
    return response


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind: ErrorType = "ValidationError" if error.status_code < 500 else "ProcessingError"
    code = "forbidden" if error.status_code == HTTPStatus.FORBIDDEN else "http"
    response = error_response(request, error.status_code, str(error.detail), kind, code)
    response.headers.update(error.headers or {})
    return response


async def _on_invalid_parameters(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return await vox_error_response(request, errors.InvalidOptions(validation_message(error.errors())))


async def _on_disconnect(_request: Request, _error: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)


def install(app: FastAPI) -> None:
    """Register handlers that answer every kind of error with the same body."""
    app.add_exception_handler(errors.VoxError, vox_error_response)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid_parameters)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
