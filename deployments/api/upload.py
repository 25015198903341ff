"""One upload, read into memory and counted while it is read; never a file.

The body is the recording itself, or a form with one. After this comes `pipelines.audio`.
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
from deployments.api.errors import sentences
from deployments.api.schemas.answers import Measured
from pipelines.audio.containers import Container, sniff
from pipelines.audio.decoding import decode, is_quick
from voxgraph.errors import (
    DeadlineExceeded,
    EmptyAudio,
    InvalidOptions,
    UnsupportedAudio,
    UploadMissing,
    UploadTooLarge,
)
from voxgraph.results import SAMPLE_RATE_HZ, ModelInfo, Waveform

FILE_FIELDS = ("file", "audio")
"""Names that the services before this one gave the file; either is taken everywhere."""
MAX_FILES = 4
MAX_BATCH_FILES = 256
MAX_FORM_BYTES = 64 * 1024
"""What a form may have beside its one recording."""
MAX_FIELDS = 32
MAX_FIELD_BYTES = 64 * 1024

Options = TypeVar("Options", bound=BaseModel)


class _InMemoryParser(MultiPartParser):
    """Starlette's parser, whose files otherwise roll over to a disk at 1 MiB."""

    spool_max_size = sys.maxsize


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a form, or a whole body, whose field and name are empty."""

    field: str
    name: str
    data: bytes


class Upload:
    """The bytes of a recording and what stood beside them."""

    def __init__(self, request: Request, part: Part, fields: dict[str, str]) -> None:
        self._request = request
        self._data = part.data
        self._fields = fields
        self._started = time.perf_counter()
        self._counted = 0
        self.name = part.name
        """What the client called the file."""
        self.audio_duration = 0.0
        """Seconds of audio, once it is decoded."""

    @property
    def request_id(self) -> str:
        """Of its request."""
        request_id: str = self._request.state.request_id
        return request_id

    @property
    def processing_time(self) -> float:
        """Seconds since the upload was read."""
        return round(time.perf_counter() - self._started, 4)

    async def decode(self) -> Waveform:
        """The recording; in a thread where decoding takes longer than that.

        Raises:
            InvalidAudio: See `pipelines.audio.decoding.decode`.
            Overloaded: It is longer than what may be in hand beside the others.
        """
        started = time.perf_counter()
        data, limits = self._data, limits_of(self._request)
        if is_quick(data):
            # Not counted: it has twice the bytes of an upload that lies in memory anyway.
            waveform = decode(data, limits)
        else:
            waveform = await asyncio.to_thread(self._request.state.reservation.decode, data, limits)
            self._counted = len(waveform)
        self._data = b""
        timings: dict[str, float] = self._request.state.timings
        timings["decode"] = timings.get("decode", 0.0) + time.perf_counter() - started
        self.audio_duration = round(len(waveform) / SAMPLE_RATE_HZ, 3)
        return waveform

    def release(self) -> None:
        """Say that the recording is not needed any more. The end of its request says so as well."""
        self._request.state.reservation.release(self._counted)
        self._counted = 0

    def require_wav(self, limit: int) -> None:
        """Refuse what is no WAV by its content, or has more than `limit` bytes.

        Raises:
            UploadTooLarge: More bytes.
            UnsupportedAudio: Another container, or none.
        """
        if len(self._data) > limit:
            raise _too_large(limit)
        if sniff(self._data) is not Container.WAV:
            raise UnsupportedAudio("The recording is no WAV; this endpoint takes nothing else.")

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
            raise InvalidOptions(sentences(error.errors())) from error


def measured(info: ModelInfo, *uploads: Upload) -> Measured:
    """How long answering took, how many seconds of audio there were in all, and on what device."""
    return Measured(
        processing_time=max(upload.processing_time for upload in uploads),
        audio_duration=round(sum(upload.audio_duration for upload in uploads), 3),
        model_device=info.device,
    )


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
        DeadlineExceeded: As `counted`.
    """
    return await _read_one(request, limits_of(request).max_upload_bytes)


AudioUpload = Annotated[Upload, Depends(read_upload)]


async def read_wav(request: Request) -> Upload:
    """Read a recording for ``/identify``: WAV by its content, and smaller than others may be.

    Raises:
        UploadTooLarge: The recording, or the body, is over the limit.
        UnsupportedAudio: It is no WAV.
        UploadMissing, EmptyAudio, DeadlineExceeded: As `read_upload`.
    """
    limits = limits_of(request)
    limit = min(limits.max_upload_bytes, limits.max_accent_upload_bytes)
    upload = await _read_one(request, limit + MAX_FORM_BYTES)
    upload.require_wav(limit)
    return upload


WavUpload = Annotated[Upload, Depends(read_wav)]


async def read_pair(request: Request) -> tuple[Upload, Upload]:
    """Read a form with two recordings, ``file1`` and ``file2``; errors as `read_upload`."""
    parts, fields = await read_parts(request, limits_of(request).max_upload_bytes)
    return (
        Upload(request, named(parts, "file1"), fields),
        Upload(request, named(parts, "file2"), fields),
    )


UploadPair = Annotated[tuple[Upload, Upload], Depends(read_pair)]


async def read_with_embedding(request: Request) -> tuple[Upload, bytes]:
    """Read a form with a recording and an ``embedding`` file; errors as `read_upload`."""
    parts, fields = await read_parts(request, limits_of(request).max_upload_bytes)
    return Upload(request, named(parts, *FILE_FIELDS), fields), named(parts, "embedding").data


EmbeddingUpload = Annotated[tuple[Upload, bytes], Depends(read_with_embedding)]


async def read_batch(request: Request) -> list[Upload]:
    """Read a form with many recordings, under any names, in their order; errors as `read_upload`.

    An empty recording is no error here: it is answered in its own line.
    """
    parts, fields = await read_parts(request, limits_of(request).max_upload_bytes, MAX_BATCH_FILES)
    if not parts:
        raise UploadMissing("The form has no file.")
    return [Upload(request, part, fields) for part in parts]


UploadBatch = Annotated[list[Upload], Depends(read_batch)]


async def read_parts(
    request: Request, limit: int, max_files: int = MAX_FILES
) -> tuple[list[Part], dict[str, str]]:
    """Read a form into memory: its files, and its other fields.

    Raises:
        UploadTooLarge: The body is over `limit` bytes.
        UploadMissing: It is no form, or a damaged one.
        DeadlineExceeded: As `counted`.
    """
    check_announced(request, limit)
    if not _is_form(request):
        raise UploadMissing("The body is no multipart form.")
    parser = _InMemoryParser(
        _without_charset(request.headers["content-type"]),
        counted(request, limit),
        max_files=max_files,
        max_fields=MAX_FIELDS,
        max_part_size=MAX_FIELD_BYTES,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise UploadMissing(f"The form cannot be read: {error.message}") from error
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


def named(parts: Sequence[Part], *names: str) -> Part:
    """The first part under one of the names, the first of them first.

    Raises:
        UploadMissing: There is none.
        EmptyAudio: It has no bytes.
    """
    found = next((part for name in names for part in parts if part.field == name), None)
    if found is None:
        raise UploadMissing(f"The form has no file in a field named {' or '.join(names)}.")
    if not found.data:
        raise EmptyAudio(f"The file in {found.field} is empty: 0 bytes.")
    return found


async def _read_one(request: Request, limit: int) -> Upload:
    if _is_form(request):
        parts, fields = await read_parts(request, limit)
        return Upload(request, named(parts, *FILE_FIELDS), fields)
    check_announced(request, limit)
    data = b"".join([chunk async for chunk in counted(request, limit)])
    if not data:
        raise EmptyAudio("The recording is empty: 0 bytes.")
    return Upload(request, Part("", "", data), {})


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


def _without_charset(content_type: str) -> Headers:
    """The header as the parser takes it. Names in a form are UTF-8 (RFC 7578), whatever codec is asked for.

    Raises:
        UploadMissing: It has no boundary.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if boundary is None:
        raise UploadMissing("The form cannot be read: its content type has no boundary.")
    return Headers({"content-type": f'multipart/form-data; boundary="{boundary.decode("latin-1")}"'})


def check_announced(request: Request, limit: int) -> None:
    """Refuse a body whose announced length is over the limit (UploadTooLarge)."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)


async def counted(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    """The body as it comes.

    Raises:
        UploadTooLarge: As soon as it is over the limit.
        DeadlineExceeded: Nothing has come for `AudioLimits.max_stall_s`.
    """
    received, stall_s = 0, limits_of(request).max_stall_s
    pieces = request.stream()
    try:
        while True:
            async with asyncio.timeout(stall_s):
                piece = await anext(pieces, None)
            if piece is None:
                return
            received += len(piece)
            if received > limit:
                raise _too_large(limit)
            yield piece
    except TimeoutError as error:
        raise DeadlineExceeded(f"The upload stood still for {stall_s:g} s.") from error


def _too_large(limit: int) -> UploadTooLarge:
    return UploadTooLarge(f"More than {limit} bytes, the largest upload that is taken.")
