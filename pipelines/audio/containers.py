"""Detect the container of an upload and refuse uploads that are truncated.

Decoders accept truncated files. A service must not: it would answer half a recording as if it were complete.
"""

import struct
from enum import StrEnum

from voxgraph.errors import CorruptAudio


class Container(StrEnum):
    """Supported containers; each value is the name of ffmpeg's demuxer."""

    WAV = "wav"
    W64 = "w64"
    AIFF = "aiff"
    FLAC = "flac"
    MP3 = "mp3"
    ADTS = "aac"
    OGG = "ogg"
    MP4 = "mov"
    MATROSKA = "matroska"


_MP4_ATOMS = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"}
_W64_START = b"riff\x2e\x91\xcf\x11"
_MAGIC = {b"fLaC": Container.FLAC, b"OggS": Container.OGG, b"\x1aE\xdf\xa3": Container.MATROSKA}


def sniff(data: bytes) -> Container | None:
    """Detect the container from the content, not the file name; return None if it is not supported."""
    if data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE":
        return Container.WAV
    if data[:4] == b"FORM" and data[8:12] in (b"AIFF", b"AIFC"):
        return Container.AIFF
    if data[:8] == _W64_START:
        return Container.W64
    if data[4:8] in _MP4_ATOMS:
        return Container.MP4
    return _MAGIC.get(data[:4]) or _sniff_frames(data)


def check_whole(container: Container, data: bytes) -> None:
    """Refuse content that ends before the end that its own header states.

    Some truncation cannot be detected: an MP3 or ADTS stream cut exactly between two frames, an Ogg stream
    between two pages, a live WebM between two blocks.

    Raises:
        CorruptAudio: The content is truncated, or its header states more bytes than there are.
    """
    check = {
        Container.WAV: _end_of_wav,
        Container.AIFF: _end_of_aiff,
        Container.OGG: _end_of_ogg,
        Container.MP4: _end_of_mp4,
        Container.MATROSKA: _end_of_matroska,
        Container.MP3: _end_of_mp3,
    }.get(container)
    if check is None:
        return
    try:
        end = check(data)
    except (struct.error, IndexError) as error:
        raise CorruptAudio("The recording is truncated inside its header.") from error
    if end > len(data):
        raise CorruptAudio(f"The recording is truncated: it should have {end} bytes, not {len(data)}.")


def without_tags(data: bytes) -> bytes:
    """Remove the ID3 and APE tags around an MPEG stream, which decoders report as damage."""
    data = data[_id3_size(data) :].lstrip(b"\0")
    if data[-128:-125] == b"TAG":
        data = data[:-128]
    if data[-32:-24] == b"APETAGEX":
        (size, _, flags) = struct.unpack("<III", data[-20:-8])
        data = data[: -(size + (32 if flags & 0x8000_0000 else 0))]
    return data


def _sniff_frames(data: bytes) -> Container | None:
    """Detect MPEG audio or FLAC from its first header, after an optional ID3 tag."""
    start = data[_id3_size(data) :][:4096].lstrip(b"\0")
    if start[:4] == b"fLaC":
        return Container.FLAC
    if len(start) < 4 or start[0] != 0xFF or start[1] & 0xE0 != 0xE0:
        return None
    layer, bitrate, rate = start[1] & 0x06, start[2] >> 4, start[2] & 0x0C
    if layer == 0:
        return Container.ADTS if start[1] & 0xF0 == 0xF0 else None
    return Container.MP3 if bitrate != 0xF and rate != 0x0C else None


def _id3_size(data: bytes) -> int:
    """Return the size of the ID3v2 tag at the start in bytes, 0 without one."""
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size


def _end_of_wav(data: bytes) -> int:
    """Return the end of the data chunk; RF64 keeps its 64-bit size in the ds64 chunk."""
    position, long_size = 12, 0
    while position + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, position)
        if name == b"ds64":
            (long_size,) = struct.unpack_from("<Q", data, position + 16)
        if name == b"data":
            return position + 8 + (long_size if data[:4] == b"RF64" and size == 0xFFFF_FFFF else size)
        position += 8 + size + size % 2
    raise CorruptAudio("The WAV file has no data chunk.")


def _end_of_aiff(data: bytes) -> int:
    (size,) = struct.unpack_from(">I", data, 4)
    return int(8 + size)


def _end_of_ogg(data: bytes) -> int:
    """Return the end of the last page."""
    position = 0
    while data[position : position + 4] == b"OggS":
        segments = data[position + 26]
        table = data[position + 27 : position + 27 + segments]
        position += 27 + segments + sum(table)
    return position


def _end_of_mp4(data: bytes) -> int:
    """Return the end of the last atom; an atom of size 0 extends to the end of the file."""
    position = 0
    while position + 8 <= len(data):
        size, _ = struct.unpack_from(">I4s", data, position)
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, position + 8)
        if size < 8:
            return len(data) if size == 0 else position + 8
        position += size
    return position


def _end_of_matroska(data: bytes) -> int:
    """Return the end of the segment, or of the file if the segment states no size (a live recording)."""
    header_size, position = _ebml_size(data, 4)
    position += header_size or 0
    segment_size, position = _ebml_size(data, position + 4)
    return len(data) if segment_size is None else position + segment_size


_MP3_KBPS = {
    (3, 3): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (3, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""kbit/s by (version bits, layer bits) and index - 1; version 2.5 (0) uses those of 2 (ISO 13818-3)."""
_MP3_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


def _end_of_mp3(data: bytes) -> int:
    """Return the end of the last frame, or the file's end if anything but a frame comes first."""
    frames = without_tags(data)
    position = 0
    while position + 4 <= len(frames):
        size = _mp3_frame_size(frames[position : position + 4])
        if size is None:
            return len(data)
        position += size
    return len(data) + max(0, position - len(frames))


def _mp3_frame_size(header: bytes) -> int | None:
    """Return the size of an MPEG audio frame in bytes; None for other bytes and for the free format."""
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bitrate, rate, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if header[0] != 0xFF or header[1] < 0xE0 or version == 1 or layer == 0:
        return None
    if bitrate in (0, 15) or rate == 3:
        return None
    bits_per_s = 1000 * _MP3_KBPS[max(version, 2), layer][bitrate - 1]
    hz = _MP3_HZ[version][rate]
    if layer == 3:
        return (12 * bits_per_s // hz + padding) * 4
    samples = 576 if layer == 1 and version != 3 else 1152
    return samples // 8 * bits_per_s // hz + padding


def _ebml_size(data: bytes, position: int) -> tuple[int | None, int]:
    """Return an EBML variable-length size and the position after it; None if all bits of the size are set."""
    first = data[position]
    length = 9 - first.bit_length()
    if not 1 <= length <= 8:
        raise CorruptAudio("The recording has a damaged header.")
    value = int.from_bytes(data[position : position + length]) & ((1 << 7 * length) - 1)
    return (None if value == (1 << 7 * length) - 1 else value), position + length
