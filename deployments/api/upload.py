"""Read uploads into memory, never into a file, with their size limited while they arrive.

The body is the recording itself or a form with files. `pipelines.audio` decodes the recording.
"""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends
from pydantic import BaseModel, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from config.settings import AudioLimits
from deployments.api.errors import validation_message
from deployments.api.schemas.answers import ProcessingInfo
from pipelines.audio.decoding import decode, is_quick
from pipelines.audio.formats import Container, sniff
from voxgraph import errors
from voxgraph.results import SAMPLE_RATE_HZ, ModelInfo, Waveform

FILE_FIELDS = ("file", "audio")
"""Form fields that may hold the recording; the services that voxgraph replaces used one or the other."""
MAX_FILES = 4
MAX_BATCH_FILES = 256
MAX_FORM_BYTES = 64 * 1024
"""Size of a form beyond its recording, at most."""
MAX_FIELDS = 32
MAX_FIELD_BYTES = 64 * 1024

Options = TypeVar("Options", bound=BaseModel)


class _InMemoryParser(MultiPartParser):
    """A parser that keeps files in memory; Starlette's moves files over 1 MiB to disk."""

    spool_max_size = sys.maxsize


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a form, or a whole body with empty `field` and `name`."""

    field: str
    name: str
    data: bytes


class Upload:
    """The bytes of a recording and the form fields and query beside them."""

    def __init__(self, request: Request, part: Part, fields: dict[str, str]) -> None:
        self._request = request
        self._data = part.data
        self._fields = fields
        self._started = time.perf_counter()
        self._reserved_samples = 0
        self.name = part.name
        """File name from the form, or empty."""
        self.audio_duration = 0.0
        """Seconds of audio; 0.0 until it is decoded."""

    @property
    def request_id(self) -> str:
        """Id of the request that carries the upload."""
        request_id: str = self._request.state.request_id
        return request_id

    @property
    def processing_time(self) -> float:
        """Seconds since the upload was read."""
        return round(time.perf_counter() - self._started, 4)

    async def decode(self) -> Waveform:
        """Decode the recording, in a thread unless decoding is faster than starting one.

        Raises what `pipelines.audio.decoding.decode` and `budget.Reservation.decode` raise.
        """
        started = time.perf_counter()
        data, limits = self._data, limits_of(self._request)
        if is_quick(data):
            # Not reserved: the waveform is only twice as large as the upload, which is in memory anyway.
            waveform = decode(data, limits)
        else:
            waveform = await asyncio.to_thread(self._request.state.reservation.decode, data, limits)
            self._reserved_samples = len(waveform)
        self._data = b""
        timings: dict[str, float] = self._request.state.timings
        timings["decode"] = timings.get("decode", 0.0) + time.perf_counter() - started
        self.audio_duration = round(len(waveform) / SAMPLE_RATE_HZ, 3)
        return waveform

    def release(self) -> None:
        """Return the decoded audio to the budget before the request ends, which would also do it."""
        self._request.state.reservation.release(self._reserved_samples)
        self._reserved_samples = 0

    def require_wav(self, limit: int) -> None:
        """Raise `UploadTooLarge` beyond `limit` bytes, and `UnsupportedAudio` if the content is not WAV."""
        if len(self._data) > limit:
            raise _too_large(limit)
        if sniff(self._data) is not Container.WAV:
            raise errors.UnsupportedAudio("The recording is not a WAV file; this endpoint accepts only WAV.")

    def options(self, model: type[Options]) -> Options:
        """Parse the options from the query and the form; the form wins.

        Raises `InvalidOptions` if a value has the wrong type or is out of range.
        """
        given = {**self._request.query_params, **self._fields}
        known = {name: value for name, value in given.items() if name in model.model_fields and value != ""}
        try:
            return model.model_validate(known)
        except ValidationError as error:
            raise errors.InvalidOptions(validation_message(error.errors())) from error


def processing_info(info: ModelInfo, *uploads: Upload) -> ProcessingInfo:
    """Return the processing time, the total duration of the uploads and the model's device."""
    return ProcessingInfo(
        processing_time=max(upload.processing_time for upload in uploads),
        audio_duration=round(sum(upload.audio_duration for upload in uploads), 3),
        model_device=info.device,
    )


def limits_of(request: Request) -> AudioLimits:
    """Return the limits of the application that handles a request."""
    limits: AudioLimits = request.app.state.settings.limits
    return limits


async def read_upload(request: Request) -> Upload:
    """Read a body that is a recording or a form with one.

    Raises:
        UploadTooLarge: Its declared or received length is over the limit.
        UploadMissing: The form is malformed or has no file in `FILE_FIELDS`.
        EmptyAudio: The recording has no bytes.
        DeadlineExceeded: The upload stalled; see `read_limited`.
    """
    return await _read_recording(request, limits_of(request).max_upload_bytes)


AudioUpload = Annotated[Upload, Depends(read_upload)]


async def read_wav(request: Request) -> Upload:
    """Read a recording for ``/identify``, which takes only WAV and has a lower size limit.

    Raises what `read_upload` raises, and `UnsupportedAudio` if the content is not WAV.
    """
    limits = limits_of(request)
    limit = min(limits.max_upload_bytes, limits.max_accent_upload_bytes)
    upload = await _read_recording(request, limit + MAX_FORM_BYTES)
    upload.require_wav(limit)
    return upload


WavUpload = Annotated[Upload, Depends(read_wav)]


async def read_pair(request: Request) -> tuple[Upload, Upload]:
    """Read a form with two recordings, ``file1`` and ``file2``; raises the errors of `read_upload`."""
    parts, fields = await read_parts(request, limits_of(request).max_upload_bytes)
    first, second = (Upload(request, find_part(parts, name), fields) for name in ("file1", "file2"))
    return first, second


UploadPair = Annotated[tuple[Upload, Upload], Depends(read_pair)]


async def read_with_embedding(request: Request) -> tuple[Upload, bytes]:
    """Read a form with a recording and an ``embedding`` file; raises the errors of `read_upload`."""
    parts, fields = await read_parts(request, limits_of(request).max_upload_bytes)
    return Upload(request, find_part(parts, *FILE_FIELDS), fields), find_part(parts, "embedding").data


EmbeddingUpload = Annotated[tuple[Upload, bytes], Depends(read_with_embedding)]


async def read_batch(request: Request) -> list[Upload]:
    """Read a form with many recordings in any fields, in their order; raises the errors of `read_upload`.

    An empty recording raises nothing here, because its error belongs in its own line of the answer.
    """
    parts, fields = await read_parts(request, limits_of(request).max_upload_bytes, MAX_BATCH_FILES)
    if not parts:
        raise errors.UploadMissing("The form has no file.")
    return [Upload(request, part, fields) for part in parts]


UploadBatch = Annotated[list[Upload], Depends(read_batch)]


async def read_parts(
    request: Request, limit: int, max_files: int = MAX_FILES
) -> tuple[list[Part], dict[str, str]]:
    """Read a form into memory and return its files and its other fields.

    Raises what `read_limited` raises, and `UploadMissing` if the body is not a form, or a malformed one.
    """
    check_content_length(request, limit)
    if not _is_form(request):
        raise errors.UploadMissing("The body is not a multipart form.")
    headers = _form_headers(request.headers["content-type"])
    chunks = read_limited(request, limit)
    parser = _InMemoryParser(
        headers, chunks, max_files=max_files, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise errors.UploadMissing(f"The form cannot be read: {error.message}") from error
    parts, fields = [], {}
    try:
        for key, value in form.multi_items():
            if isinstance(value, UploadFile):
                parts.append(Part(key, value.filename or "", await value.read()))
            else:
                fields[key] = value
    finally:
        await form.close()
    return parts, fields


def find_part(parts: Sequence[Part], *names: str) -> Part:
    """Return the first file in one of the fields, trying the fields in order.

    Raises `UploadMissing` if no field has a file, and `EmptyAudio` if the file has no bytes.
    """
    found = next((part for name in names for part in parts if part.field == name), None)
    if found is None:
        raise errors.UploadMissing(f"The form has no file in a field named {' or '.join(names)}.")
    if not found.data:
        raise errors.EmptyAudio(f"The file in {found.field} is empty: 0 bytes.")
    return found


async def _read_recording(request: Request, limit: int) -> Upload:
    if _is_form(request):
        parts, fields = await read_parts(request, limit)
        return Upload(request, find_part(parts, *FILE_FIELDS), fields)
    check_content_length(request, limit)
    data = b"".join([chunk async for chunk in read_limited(request, limit)])
    if not data:
        raise errors.EmptyAudio("The recording is empty: 0 bytes.")
    return Upload(request, Part("", "", data), {})


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


def _form_headers(content_type: str) -> Headers:
    """Return the header without its charset, because names in a form are always UTF-8 (RFC 7578)."""
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if boundary is None:
        raise errors.UploadMissing("The form cannot be read: its content type has no boundary.")
    return Headers({"content-type": f'multipart/form-data; boundary="{boundary.decode("latin-1")}"'})


def check_content_length(request: Request, limit: int) -> None:
    """Raise `UploadTooLarge` if the declared length of the body is over the limit."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)


async def read_limited(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    """Yield the body in chunks as they arrive.

    Raises:
        UploadTooLarge: More than `limit` bytes have arrived.
        DeadlineExceeded: No data has arrived for `AudioLimits.max_stall_s`.
    """
    received, stall_s = 0, limits_of(request).max_stall_s
    chunks = request.stream()
    try:
        while True:
            async with asyncio.timeout(stall_s):
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            received += len(chunk)
            if received > limit:
                raise _too_large(limit)
            yield chunk
    except TimeoutError as error:
        raise errors.DeadlineExceeded(f"The upload stalled: no data arrived for {stall_s:g} s.") from error


def _too_large(limit: int) -> errors.UploadTooLarge:
    return errors.UploadTooLarge(f"The upload has more than {limit} bytes, the limit.")
