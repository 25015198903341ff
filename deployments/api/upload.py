"""One upload, read into memory and counted while it is read; never a file.

The body is the recording itself, or a form with one. After this comes `pipelines.audio`.
"""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator
from typing import Annotated, TypeVar

from fastapi import Depends
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from config.settings import AudioLimits
from pipelines.audio import SAMPLE_RATE_HZ, decode
from pipelines.errors import EmptyAudio, InvalidOptions, UploadMissing, UploadTooLarge
from pipelines.results import Waveform

FILE_FIELDS = ("file", "audio")
"""Names that the services before this one gave the file; either is taken everywhere."""
MAX_FILES = 4
MAX_FIELDS = 32
MAX_FIELD_BYTES = 64 * 1024

Options = TypeVar("Options", bound=BaseModel)


class _InMemoryParser(MultiPartParser):
    """Starlette's parser, whose files otherwise roll over to a disk at 1 MiB."""

    spool_max_size = sys.maxsize


class Upload:
    """The bytes of a request and what stood beside them."""

    def __init__(self, request: Request, data: bytes, fields: dict[str, str]) -> None:
        self._request = request
        self._data = data
        self._fields = fields
        self._started = time.perf_counter()
        self.audio_duration = 0.0
        """Seconds of audio, once it is decoded."""

    @property
    def processing_time(self) -> float:
        """Seconds since the upload was read."""
        return round(time.perf_counter() - self._started, 4)

    async def decode(self) -> Waveform:
        """The recording, decoded in a thread.

        Raises:
            InvalidAudio: See `pipelines.audio.decode`.
        """
        started = time.perf_counter()
        waveform = await asyncio.to_thread(decode, self._data, limits_of(self._request))
        self._data = b""
        self._request.state.timings["decode"] = time.perf_counter() - started
        self.audio_duration = round(len(waveform) / SAMPLE_RATE_HZ, 3)
        return waveform

    def options(self, model: type[Options]) -> Options:
        """Options from the query and the form; the form wins.

        Raises:
            InvalidOptions: A value is not of its type or out of its range.
        """
        given = {**self._request.query_params, **self._fields}
        known = {name: value for name, value in given.items() if name in model.model_fields and value != ""}
        try:
            return model.model_validate(known)
        except ValidationError as error:
            sentences = (
                f"{'.'.join(map(str, one['loc'])) or 'options'}: {one['msg']}" for one in error.errors()
            )
            raise InvalidOptions("; ".join(sentences)) from error


def limits_of(request: Request) -> AudioLimits:
    """The limits of the application that serves a request."""
    limits: AudioLimits = request.app.state.settings.limits
    return limits


async def read_upload(request: Request) -> Upload:
    """Read a body that is a recording or a form with one.

    Raises:
        UploadTooLarge: Its length, announced or counted, is over the limit.
        UploadMissing: A form that is damaged or has no file under a known name.
        EmptyAudio: The recording has no bytes.
    """
    limit = limits_of(request).max_upload_bytes
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        data, fields = await _read_form(request, limit)
    else:
        data, fields = b"".join([chunk async for chunk in _counted(request, limit)]), {}
    if not data:
        raise EmptyAudio("The recording is empty: 0 bytes.")
    return Upload(request, data, fields)


Sent = Annotated[Upload, Depends(read_upload)]


async def _read_form(request: Request, limit: int) -> tuple[bytes, dict[str, str]]:
    parser = _InMemoryParser(
        request.headers,
        _counted(request, limit),
        max_files=MAX_FILES,
        max_fields=MAX_FIELDS,
        max_part_size=MAX_FIELD_BYTES,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise UploadMissing(f"The form cannot be read: {error.message}") from error
    try:
        for name in FILE_FIELDS:
            if isinstance(part := form.get(name), UploadFile):
                fields = {key: value for key, value in form.items() if isinstance(value, str)}
                return await part.read(), fields
    finally:
        await form.close()
    raise UploadMissing(f"The form has no file in a field named {' or '.join(FILE_FIELDS)}.")


async def _counted(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > limit:
            raise _too_large(limit)
        yield chunk


def _too_large(limit: int) -> UploadTooLarge:
    return UploadTooLarge(f"More than {limit} bytes, the largest upload that is taken.")
