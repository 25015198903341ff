"""WAV, RF64 and Wave64: where they end, and headers that were never finished.

A program that writes to a pipe cannot return to the header, so it states a placeholder for the size; a
recorder that crashed leaves zeros. Both are read to the end of the file.
"""

import struct
from dataclasses import dataclass

from voxgraph.errors import CorruptAudio

UNKNOWN_SIZE = 0xFFFF_FFFF
_UNKNOWN_LONG_SIZE = 0xFFFF_FFFF_FFFF_FFFF
_PLACEHOLDERS = (
    range(0x7FFF_F000, 0x8000_0101),  # sox, arecord, mplayer, and others that take the largest signed size
    range(UNKNOWN_SIZE - 100, UNKNOWN_SIZE - 35),  # the largest size less that of the header
    range(UNKNOWN_SIZE, UNKNOWN_SIZE + 1),  # FFmpeg, and speech synthesis that streams
    range(2_000_000_000, 2_000_000_101),  # speech synthesis that streams
)
"""Sizes in 32 bits that stand for an unknown size. Beyond them, a size over that of the file is a lie."""
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_FORMAT_CHUNK_BYTES = 16
_MAX_PLAIN_CHUNKS = 16
"""Chunks of a WAV that is plain, so that reading its headers takes microseconds."""
_PCM_TAG = 1
_LINEAR_TAGS = (_PCM_TAG, 3, 6, 7)
"""Format tags of PCM, float, A-law and mu-law (RFC 2361)."""
_EXTENSIBLE_TAG = 0xFFFE


@dataclass(frozen=True, slots=True)
class _DataChunk:
    """The chunk of the samples."""

    header: int
    """Position of the chunk's header."""
    end: int
    is_finished: bool
    """Whether the header states the size."""


def end_of_wav(data: bytes, start: int) -> int:
    """Return the end of a WAV: of the chunks behind its samples, or of the samples.

    Raises:
        CorruptAudio: There is no data chunk.
    """
    chunk = _data_chunk(data, start)
    return (
        _end_of_chunks(data, chunk.end + (chunk.end - chunk.header) % 2) if chunk.is_finished else chunk.end
    )


def end_of_w64(data: bytes, start: int) -> int:
    """Return the end of the samples of a Wave64, whose sizes have 64 bits and count the chunk's header."""
    position = start + 40
    while position + 24 <= len(data):
        kind, size = struct.unpack_from("<16sQ", data, position)
        if kind == _W64_DATA:
            return len(data) if size in (0, 24, _UNKNOWN_LONG_SIZE) else int(position + size)
        position += max(24, (size + 7) & ~7)
    raise CorruptAudio("The Wave64 file has no data chunk.")


def with_sizes(data: bytes) -> bytes:
    """Return a WAV with its true sizes where its header states a placeholder; otherwise the same object.

    Of a WAV without samples the chunks behind them are cut off, which libsndfile would take for samples.
    """
    chunk = _data_chunk(data, 0)
    if chunk.is_finished:
        return data[: chunk.end] if chunk.end == chunk.header + 8 else data
    changed = bytearray(data)
    size = len(data) - chunk.header - 8
    struct.pack_into("<4sI", changed, 0, b"RIFF", min(len(data) - 8, UNKNOWN_SIZE - 1))
    struct.pack_into("<I", changed, chunk.header + 4, size)
    return bytes(changed)


@dataclass(frozen=True, slots=True)
class PlainPcm:
    """The samples of a WAV of 16-bit PCM that has nothing unusual."""

    offset: int
    """Position of the first sample."""
    frames: int
    channels: int
    sample_rate: int


def plain_pcm(data: bytes) -> PlainPcm | None:
    """Read the headers of a WAV of 16-bit PCM; return None for any other, and if anything is unusual.

    Usual are true sizes, whole frames, and few chunks, the last of which ends the content.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return None
    chunks = _few_chunks(data)
    if chunks is None or b"fmt " not in chunks or b"data" not in chunks:
        return None
    (header, header_size), (offset, size) = chunks[b"fmt "], chunks[b"data"]
    if header_size < _FORMAT_CHUNK_BYTES or offset < header:
        return None
    tag, channels, rate, _, frame_bytes, bits = struct.unpack_from("<HHIIHH", data, header)
    if (tag, bits) != (_PCM_TAG, 16) or not 0 < frame_bytes == 2 * channels:
        return None
    if rate == 0 or size == 0 or size % frame_bytes:
        return None
    return PlainPcm(offset, size // frame_bytes, channels, rate)


def _few_chunks(data: bytes) -> dict[bytes, tuple[int, int]] | None:
    """Return position and size of the content of a WAV's chunks by their names.

    None unless all are whole, the last ends the content, format and samples are there once, and they are few.
    """
    chunks, position = dict[bytes, tuple[int, int]](), 12
    for _ in range(_MAX_PLAIN_CHUNKS):
        if position + 8 > len(data):
            break
        name, size = struct.unpack_from("<4sI", data, position)
        end = position + 8 + size
        # Behind the samples there may be another file.
        if name in (b"RIFF", b"RF64") or end > len(data) or (name in (b"fmt ", b"data") and name in chunks):
            return None
        chunks[name] = position + 8, size
        position = end + size % 2
    return chunks if position in (len(data), len(data) + 1) else None


def is_linear(data: bytes) -> bool:
    """Whether the samples of a WAV are PCM, float, A-law or mu-law, not of a codec."""
    position = data.find(b"fmt ", 12)
    if position < 0 or position + 8 + _FORMAT_CHUNK_BYTES > len(data):
        return True
    (tag,) = struct.unpack_from("<H", data, position + 8)
    if tag == _EXTENSIBLE_TAG and position + 34 <= len(data):
        (tag,) = struct.unpack_from("<H", data, position + 32)
    return tag in _LINEAR_TAGS


def _data_chunk(data: bytes, start: int) -> _DataChunk:
    position, long_size = start + 12, _UNKNOWN_LONG_SIZE
    is_long = data.startswith(b"RF64", start)
    while position + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, position)
        if name == b"ds64":
            (long_size,) = struct.unpack_from("<Q", data, position + 16)
        if name == b"data":
            return _sized(data, position, long_size if is_long and size == UNKNOWN_SIZE else size)
        position += 8 + size + size % 2
    raise CorruptAudio("The WAV file has no data chunk.")


def _sized(data: bytes, position: int, size: int) -> _DataChunk:
    """Return the data chunk, or what is there of it if its size is a placeholder."""
    begin = position + 8
    is_zero = size == 0 and begin < len(data) and _end_of_chunks(data, begin) == begin
    is_placeholder = size == _UNKNOWN_LONG_SIZE or any(size in sizes for sizes in _PLACEHOLDERS)
    if is_zero or (is_placeholder and begin + size > len(data)):
        return _DataChunk(position, next_wav(data, begin), is_finished=False)
    return _DataChunk(position, begin + size, is_finished=True)


def next_wav(data: bytes, position: int) -> int:
    """Return the start of the next WAV, which ends samples of unknown length, or the end of the content."""
    while (position := data.find(b"WAVEfmt ", position)) >= 0:
        if data[position - 8 : position - 4] in (b"RIFF", b"RF64"):
            return position - 8
        position += 8
    return len(data)


def _end_of_chunks(data: bytes, position: int) -> int:
    """Return the end of the chunks behind the samples: those with a name of letters that end in the file."""
    while position + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, position)
        end = position + 8 + size
        if name in (b"RIFF", b"RF64") or end > len(data) or not all(32 <= byte < 127 for byte in name):
            break
        position = min(end + size % 2, len(data))
    return position
