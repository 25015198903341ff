"""Read multipart forms into memory: their files and their other fields."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from deployments.api.body import check_content_length, read_limited
from pipelines.audio.formats import sniff
from voxgraph import errors

FILE_FIELDS = ("file", "audio")
"""Form fields that may hold the recording; the services that voxgraph replaces used one or the other."""
RECORDING_FIELDS = frozenset({*FILE_FIELDS, "file1", "file2"})
_FIELDS_OF_FILES = RECORDING_FIELDS | {"embedding"}
"""Fields that are files even if they come without a file name."""
MAX_FILES = 4
MAX_BATCH_FILES = 256
MAX_FIELDS = 32
MAX_FIELD_BYTES = 64 * 1024
_EXTENDED_NAME = re.compile(rb"filename\*\s*=\s*\"?([\w!#$&+^`{}~.-]*)'[^']*'([^;\"]*)", re.IGNORECASE)
"""A file name with its charset (RFC 8187), which older clients send for names that are not ASCII."""

Fields = dict[str, list[str]]
"""The values of each field, in their order."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a form, or a whole body with empty `field` and `name`."""

    field: str
    name: str
    data: bytes


class _InMemoryParser(MultiPartParser):
    """A parser that keeps files in memory, and takes a part of a file's field for one without a file name.

    Starlette's moves files over 1 MiB to disk, and takes every part without a plain file name for text.
    """

    spool_max_size = sys.maxsize

    def on_headers_finished(self) -> None:
        """Add a file name to the header of a file that has none."""
        part = self._current_part
        header = part.content_disposition or b""
        options = parse_options_header(header)[1]
        extended = _EXTENDED_NAME.search(header)
        is_file = extended or options.get(b"name", b"").decode("utf-8", "replace") in _FIELDS_OF_FILES
        if b"filename" in options or not is_file:
            super().on_headers_finished()
            return
        part.content_disposition = header + b'; filename=""'
        super().on_headers_finished()
        if extended and part.file is not None:
            part.file.filename = _decoded_name(*extended.groups())


def is_form(request: Request) -> bool:
    """Whether the body is a multipart form."""
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


async def read_parts(request: Request, limit: int, max_files: int = MAX_FILES) -> tuple[list[Part], Fields]:
    """Read a form into memory and return its files and its other fields.

    Raises what `read_limited` raises, and `UploadMissing` if the body is not a form, or a malformed one.
    """
    check_content_length(request, limit)
    if not is_form(request):
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
    parts, fields = list[Part](), Fields()
    try:
        for key, value in form.multi_items():
            if isinstance(value, UploadFile):
                parts.append(Part(key, value.filename or "", await value.read()))
            else:
                fields.setdefault(key, []).append(value)
    finally:
        await form.close()
    return parts, fields


def find_part(parts: Sequence[Part], *names: str) -> Part:
    """Return the first file in one of the fields, trying the fields in order.

    Raises `UploadMissing` if no field has a file, or text in place of one, and `EmptyAudio` for no bytes.
    """
    found = next((part for name in names for part in parts if part.field == name), None)
    if found is None:
        raise errors.UploadMissing(f"The form has no file in a field named {' or '.join(names)}.")
    if not found.name and found.data and found.field in RECORDING_FIELDS and sniff(found.data) is None:
        raise errors.UploadMissing(
            f"The part {found.field} has no filename, and its content is no recording."
        )
    if not found.data:
        raise errors.EmptyAudio(f"The file in {found.field} is empty: 0 bytes.")
    return found


def _form_headers(content_type: str) -> Headers:
    """Return the header without its charset, because names in a form are always UTF-8 (RFC 7578)."""
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if boundary is None:
        raise errors.UploadMissing("The form cannot be read: its content type has no boundary.")
    return Headers({"content-type": f'multipart/form-data; boundary="{boundary.decode("latin-1")}"'})


def _decoded_name(charset: bytes, value: bytes) -> str:
    """Decode an extended file name; a charset that is not known is read as UTF-8."""
    text = value.decode("ascii", "replace").strip()
    try:
        return unquote(text, charset.decode("ascii") or "utf-8", "replace")
    except LookupError:
        return unquote(text, "utf-8", "replace")
