"""Read request bodies into memory, with their size limited while they arrive, and decompress them."""

import asyncio
import time
import zlib
from collections.abc import AsyncGenerator, Iterator

from starlette.requests import Request

from config.settings import AudioLimits
from voxgraph import errors

ENCODINGS = ("gzip", "deflate")
"""Values of ``Content-Encoding`` that are decompressed, beside ``identity``."""
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS
MAX_EXPANSION = 20
"""Bytes that may come out of the decompression of one, beyond the first `FREE_EXPANSION_BYTES`. Recordings
and galleries become a few times larger."""
FREE_EXPANSION_BYTES = 8 * 1024 * 1024
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
        UploadTooLarge: More than `limit` bytes have arrived, or come out of the decompression, or it makes
            the body more than `MAX_EXPANSION` times as large.
        UnsupportedEncoding: ``Content-Encoding`` is none of `ENCODINGS`.
        UnreadableBody: The body is not what ``Content-Encoding`` says, or breaks off.
        DeadlineExceeded: No data has arrived for `AudioLimits.max_stall_s`, or less than
            `AudioLimits.min_upload_bytes_per_s`.
        Overloaded, RateLimited: Bodies take all memory that there is for them, or for this client.
    """
    decompressor = _decompressor(request)
    received = 0
    async for chunk in _arriving(request, limit):
        for piece in decompressor.feed(chunk) if decompressor else (chunk,):
            received += len(piece)
            if received > limit:
                raise too_large(limit)
            if decompressor and received > max(FREE_EXPANSION_BYTES, MAX_EXPANSION * decompressor.fed):
                raise errors.UploadTooLarge(f"The body becomes more than {MAX_EXPANSION} times as large.")
            if decompressor:
                request.state.body.take(len(piece))
            yield piece
    if decompressor:
        decompressor.check_end()


def too_large(limit: int) -> errors.UploadTooLarge:
    """Return the error of an upload over the limit in bytes."""
    return errors.UploadTooLarge(f"The upload has more than {limit} bytes, the limit.")


async def _arriving(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    """Yield the body as it arrives; raises `UploadTooLarge` and `DeadlineExceeded`."""
    limits = limits_of(request)
    started, received = time.monotonic(), 0
    chunks = request.stream()
    while True:
        wait_s = _patience_s(limits, received, time.monotonic() - started)
        try:
            async with asyncio.timeout(wait_s):
                chunk = await anext(chunks, None)
        except TimeoutError as error:
            raise _too_slow(limits, stalled=wait_s >= limits.max_stall_s) from error
        if chunk is None:
            return
        received += len(chunk)
        if received > limit:
            raise too_large(limit)
        yield chunk


def _patience_s(limits: AudioLimits, received: int, elapsed_s: float) -> float:
    """Return the seconds that the next bytes may take, after `received` bytes in `elapsed_s` seconds."""
    if not limits.min_upload_bytes_per_s:
        return limits.max_stall_s
    left_s = limits.upload_grace_s + received / limits.min_upload_bytes_per_s - elapsed_s
    return min(limits.max_stall_s, max(left_s, 0.0))


def _too_slow(limits: AudioLimits, *, stalled: bool) -> errors.DeadlineExceeded:
    if stalled:
        return errors.DeadlineExceeded(f"The upload stalled: no data arrived for {limits.max_stall_s:g} s.")
    return errors.DeadlineExceeded(
        f"The upload is too slow: after {limits.upload_grace_s:g} s, a mean of "
        f"{limits.min_upload_bytes_per_s:g} bytes a second is needed."
    )


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
        self.fed = 0
        """Compressed bytes so far."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what comes out of the next chunk, in pieces."""
        self.fed += len(chunk)
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
