"""Find where a file ends inside an upload, and refuse files that end before their own headers say.

Decoders accept truncated files. A service must not: it would answer half a recording as if it were complete.
Some truncation cannot be detected: an MPEG stream cut exactly between two frames, an Ogg stream between two
pages, a live WebM between two blocks, a WAV or AU whose header states no size.
"""

import struct
from collections.abc import Callable

from pipelines.audio import riff
from pipelines.audio.formats import ASF_HEADER, EBML, Container
from pipelines.audio.frames import end_of_frames, frame_at
from pipelines.audio.tags import MP4_ATOMS, id3_size
from voxgraph.errors import CorruptAudio

FLAC_STARTS = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")
"""A FLAC's mark and the header of its first block, STREAMINFO of 34 bytes (RFC 9639, 8.1)."""
_EBML_HEADER_BYTES = 64
"""Bytes within which an EBML header names its document type."""
_OGG_FIRST_PAGE = 0x02
"""Flag of a page that begins a stream (RFC 3533, 6)."""
_EMPTY_ASF_DATA_BYTES = 50
"""Bytes of a data object without packets, which a live recording states."""
_AMR_BYTES = (13, 14, 16, 18, 20, 21, 27, 32, 6, 0, 0, 0, 0, 0, 0, 1)
_AMR_WB_BYTES = (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 0, 0, 0, 0, 1, 1)
"""Bytes of a frame with its first byte, by the frame type in it (RFC 4867, 5.3); 0 for other types."""
_NOT_OF_AMR = 0x83
"""Bits of a frame's first byte that are 0."""


def end_of_file(container: Container, data: bytes, start: int) -> int:
    """Return the end of the file that starts at a position.

    Raises:
        CorruptAudio: The content is truncated, or its header states more bytes than there are.
    """
    find = _ENDS.get(container)
    try:
        end = find(data, start) if find else len(data)
    except (struct.error, IndexError, ValueError) as error:
        raise CorruptAudio("The recording is truncated inside its header.") from error
    if end > len(data):
        raise CorruptAudio(
            f"The recording is truncated: it should have {end - start} bytes, not {len(data) - start}."
        )
    return end


def _end_of_aiff(data: bytes, start: int) -> int:
    (size,) = struct.unpack_from(">I", data, start + 4)
    if size in (0, riff.UNKNOWN_SIZE):
        raise CorruptAudio("The header of the AIFF file was never finished: it states no size.")
    return int(start + 8 + size)


def _end_of_au(data: bytes, start: int) -> int:
    header, size = struct.unpack_from(">II", data, start + 4)
    return len(data) if size == riff.UNKNOWN_SIZE else int(start + header + size)


_CAF_CHUNKS = frozenset(
    b"desc data pakt chan kuki info strg mark regn inst midi ovvw peak edct uuid free umid".split()
)


def _end_of_caf(data: bytes, start: int) -> int:
    """Return the end of the last chunk; a data chunk of size -1 extends to the end of the file."""
    position, has_data = start + 8, False
    while position + 12 <= len(data):
        kind, size = struct.unpack_from(">4sq", data, position)
        if kind not in _CAF_CHUNKS:
            break
        has_data = has_data or kind == b"data"
        if size < 0:
            return len(data)
        position += 12 + size
    if not has_data:
        raise CorruptAudio("The CAF file has no data chunk.")
    return position


def _end_of_nist(data: bytes, start: int) -> int:
    """Return the end of the samples that the header counts; compressed samples have no known end."""
    size = int(data[start + 8 : start + 16])
    lines = data[start + 16 : start + size].decode("latin-1").splitlines()
    fields = {parts[0]: parts[2] for line in lines if len(parts := line.split(None, 2)) == 3}
    if "," in fields.get("sample_coding", "pcm"):
        return len(data)
    counts = (fields.get(name, "0") for name in ("sample_count", "sample_n_bytes", "channel_count"))
    samples, width, channels = (int(count) for count in counts)
    return start + size + samples * width * channels


def _end_of_flac(data: bytes, start: int) -> int:
    """Return the start of the next FLAC, or of the tag before it; the length of a FLAC is not stated."""
    found = [position for mark in FLAC_STARTS if (position := data.find(mark, start + 4)) >= 0]
    if (wav := riff.next_wav(data, start)) < len(data):
        found.append(wav)
    if not found:
        return len(data) - 128 if data[-128:-125] == b"TAG" else len(data)
    tag = data.rfind(b"ID3", start, min(found))
    return tag if tag >= 0 and tag + id3_size(data, tag) == min(found) else min(found)


def _end_of_ogg(data: bytes, start: int) -> int:
    """Return the end of the last page of a chain: a page that begins a stream after others is the next."""
    position, has_data = start, False
    while True:
        if data[position : position + 4] != b"OggS":
            # Between pages there may be damage, which the demuxer steps over; behind the last, anything.
            following = data.find(b"OggS", position)
            if following < 0:
                return position
            position = following
        is_first = data[position + 5] & _OGG_FIRST_PAGE
        if is_first and has_data:
            return position
        has_data = has_data or not is_first
        segments = data[position + 26]
        table = data[position + 27 : position + 27 + segments]
        position += 27 + segments + sum(table)
        if position >= len(data) or len(table) < segments:
            return position if len(table) == segments else len(data) + 1


def _end_of_mp4(data: bytes, start: int) -> int:
    """Return the end of the last atom; an atom of size 0 extends to the end of the file."""
    position, has_movie, has_index = start, False, False
    while position + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        if not _is_printable(kind) or (kind == b"ftyp" and has_movie):
            break
        has_movie = has_movie or kind in (b"moov", b"mdat")
        has_index = has_index or kind == b"moov"
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, position + 8)
        if position + size > len(data) and kind not in _MOVIE_ATOMS:
            break
        position = position + max(size, 8) if size else len(data)
    if position <= len(data) and not has_index:
        raise CorruptAudio(
            "The MP4 file was never finished: it has no moov atom, which says where its sound is."
        )
    return position


_MOVIE_ATOMS = MP4_ATOMS | {b"mfra", b"sidx", b"meta", b"uuid"}
"""Atoms that are truncated if they end beyond the file; others behind the movie are not of it."""


def _end_of_matroska(data: bytes, start: int) -> int:
    """Return the end of the segment; one without a size (a live recording) ends where another file begins."""
    header_size, position = _ebml_size(data, start + 4)
    position += header_size or 0
    segment_size, content = _ebml_size(data, position + 4)
    if segment_size is not None:
        return content + segment_size
    position = content
    while (position := data.find(EBML, position)) >= 0:
        head = data[position : position + _EBML_HEADER_BYTES]
        if b"webm" in head or b"matroska" in head:
            return position
        position += 4
    return len(data)


def _ebml_size(data: bytes, position: int) -> tuple[int | None, int]:
    """Return an EBML variable-length size and the position after it; None if all bits of the size are set."""
    first = data[position]
    length = 9 - first.bit_length()
    if not 1 <= length <= 8:
        raise CorruptAudio("The recording has a damaged header.")
    value = int.from_bytes(data[position : position + length]) & ((1 << 7 * length) - 1)
    return (None if value == (1 << 7 * length) - 1 else value), position + length


def _end_of_asf(data: bytes, start: int) -> int:
    """Return the end of the data object, or of the file if the object states no size (a live recording)."""
    (header_size,) = struct.unpack_from("<Q", data, start + 16)
    position: int = start + header_size
    (size,) = struct.unpack_from("<Q", data, position + 16)
    if size <= _EMPTY_ASF_DATA_BYTES:
        return len(data)
    position += size
    # Index objects may follow.
    while position + 24 <= len(data) and not data.startswith(ASF_HEADER, position):
        (size,) = struct.unpack_from("<Q", data, position + 16)
        if size < 24 or position + size > len(data):
            break
        position += size
    return position


def _end_of_amr(data: bytes, start: int) -> int:
    """Return the end of the last frame: a first byte with other than the frame type and a flag is none."""
    is_wide = data.startswith(b"#!AMR-WB\n", start)
    sizes = _AMR_WB_BYTES if is_wide else _AMR_BYTES
    position = start + (9 if is_wide else 6)
    while position < len(data) and not data[position] & _NOT_OF_AMR:
        size = sizes[data[position] >> 3 & 0x0F]
        # Zeros would be a frame of the lowest rate that is marked as bad, but they are padding.
        if size == 0 or not any(data[position : position + size]):
            break
        position += size
    return position


def _end_of_frames(data: bytes, start: int) -> int:
    if frame_at(data, start) is None:
        return len(data)
    return end_of_frames(data, start)[0]


def _is_printable(kind: bytes) -> bool:
    return all(32 <= byte < 127 or byte == 0xA9 for byte in kind)


_ENDS: dict[Container, Callable[[bytes, int], int]] = {
    Container.WAV: riff.end_of_wav,
    Container.W64: riff.end_of_w64,
    Container.AIFF: _end_of_aiff,
    Container.AU: _end_of_au,
    Container.CAF: _end_of_caf,
    Container.NIST: _end_of_nist,
    Container.FLAC: _end_of_flac,
    Container.OGG: _end_of_ogg,
    Container.MP4: _end_of_mp4,
    Container.MATROSKA: _end_of_matroska,
    Container.ASF: _end_of_asf,
    Container.AMR: _end_of_amr,
    Container.AC3: _end_of_frames,
    Container.EAC3: _end_of_frames,
    Container.MP3: _end_of_frames,
    Container.ADTS: _end_of_frames,
}
