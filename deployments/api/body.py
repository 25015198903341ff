"""Read request bodies into memory, with their size limited while they arrive, and decompress them."""

import asyncio
import zlib
from collections.abc import AsyncGenerator, Iterator

from starlette.requests import Request

from config.settings import AudioLimits
from voxgraph import errors

ENCODINGS = ("gzip", "deflate")
"""Values of ``Content-Encoding`` that are decompressed, beside ``identity``."""
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS
_PIECE_BYTES = 1 << 16
"""Bytes that are decompressed at once, so that a small body cannot fill the memory."""


def limits_of(request: Request) -> AudioLimits:
    """Return the limits of the application that handles a request."""
    limits: AudioLimits = request.app.state.settings.limits
    return limits


def check_content_length(request: Request, limit: int) -> None:
    """Raise `UploadTooLarge` if the declared length of the body is over the limit."""
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > limit:
        raise too_large(limit)


async def read_limited(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    """Yield the body in chunks as they arrive, decompressed.

    Raises:
        UploadTooLarge: More than `limit` bytes have arrived, or come out of the decompression.
        UnsupportedEncoding: ``Content-Encoding`` is none of `ENCODINGS`.
        UnreadableBody: The body is not what ``Content-Encoding`` says, or breaks off.
        DeadlineExceeded: No data has arrived for `AudioLimits.max_stall_s`.
    """
    decompressor = _decompressor(request)
    received = 0
    async for chunk in _arriving(request, limit):
        for piece in decompressor.feed(chunk) if decompressor else (chunk,):
            received += len(piece)
            if received > limit:
                raise too_large(limit)
            yield piece
    if decompressor:
        decompressor.check_end()


def too_large(limit: int) -> errors.UploadTooLarge:
    """Return the error of an upload over the limit in bytes."""
    return errors.UploadTooLarge(f"The upload has more than {limit} bytes, the limit.")


async def _arriving(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    """Yield the body as it arrives; raises `UploadTooLarge` and `DeadlineExceeded`."""
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
                raise too_large(limit)
            yield chunk
    except TimeoutError as error:
        raise errors.DeadlineExceeded(f"The upload stalled: no data arrived for {stall_s:g} s.") from error


def _decompressor(request: Request) -> "_Decompressor | None":
    encodings = [name.strip().lower() for name in request.headers.get("content-encoding", "").split(",")]
    named = [name for name in encodings if name not in ("", "identity")]
    if not named:
        return None
    if len(named) > 1 or named[0].removeprefix("x-") not in ENCODINGS:
        raise errors.UnsupportedEncoding(
            f"The content encoding {', '.join(named)} is not supported; {' and '.join(ENCODINGS)} are."
        )
    return _Decompressor(named[0])


class _Decompressor:
    """Decompresses gzip (RFC 1952, also several members) and deflate (RFC 1950, and bare RFC 1951)."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._stream = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._is_first = True

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what comes out of the next chunk, in pieces."""
        while chunk:
            if self._stream.eof:
                self._stream = zlib.decompressobj(_GZIP_OR_ZLIB)
            yield self._decompress(chunk)
            chunk = self._stream.unconsumed_tail or self._stream.unused_data

    def check_end(self) -> None:
        """Raise `UnreadableBody` if the body has broken off."""
        if not self._stream.eof:
            raise errors.UnreadableBody(f"The {self._encoding} body is truncated.")

    def _decompress(self, chunk: bytes) -> bytes:
        try:
            return self._stream.decompress(chunk, _PIECE_BYTES)
        except zlib.error as error:
            if self._encoding == "deflate" and self._is_first:
                # Some clients send the data without zlib's header.
                self._stream = zlib.decompressobj(_RAW_DEFLATE)
                self._is_first = False
                return self._decompress(chunk)
            raise errors.UnreadableBody(f"The body is not {self._encoding}.") from error
        finally:
            self._is_first = False
