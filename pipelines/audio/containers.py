"""What the first and last bytes of an upload say: its container, and whether it breaks off.

Decoders are forgiving where a service must not be: half a recording would be answered as if it were whole.
"""

import struct
from enum import StrEnum

from voxgraph.errors import CorruptAudio


class Container(StrEnum):
    """Containers that are read here; the value is ffmpeg's name of the demuxer."""

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
    """The container that the content shows, whatever the file is called; None for all that is not read."""
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
    """Refuse content that ends before its own header says it does.

    What cannot be seen: an MP3 or ADTS stream cut exactly between two frames, an Ogg stream between two
    pages, a live WebM anywhere between two of its blocks.

    Raises:
        CorruptAudio: The content is cut short or claims more than there is.
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
        raise CorruptAudio("The recording breaks off inside its header.") from error
    if end > len(data):
        raise CorruptAudio(f"The recording breaks off: it should end at byte {end}, not {len(data)}.")


def without_tags(data: bytes) -> bytes:
    """An MPEG stream without the ID3 and APE tags before and after it, which decoders take for damage."""
    data = data[_id3_size(data) :].lstrip(b"\0")
    if data[-128:-125] == b"TAG":
        data = data[:-128]
    if data[-32:-24] == b"APETAGEX":
        (size, _, flags) = struct.unpack("<III", data[-20:-8])
        data = data[: -(size + (32 if flags & 0x8000_0000 else 0))]
    return data


def _sniff_frames(data: bytes) -> Container | None:
    """MPEG audio by its first frame header, behind an ID3 tag where there is one."""
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
    """Bytes of an ID3v2 tag at the start, 0 without one."""
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size


def _end_of_wav(data: bytes) -> int:
    """Where the data chunk ends; 64-bit sizes of RF64 are in its ds64 chunk."""
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
    """Where the last page ends."""
    position = 0
    while data[position : position + 4] == b"OggS":
        segments = data[position + 26]
        table = data[position + 27 : position + 27 + segments]
        position += 27 + segments + sum(table)
    return position


def _end_of_mp4(data: bytes) -> int:
    """Where the last atom ends; one of size 0 goes to the end of the file."""
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
    """Where the segment ends; that of a live recording has no size."""
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
"""Bit rates by (version bits, layer bits) and index - 1; version 2.5 (0) has those of 2 (ISO 13818-3)."""
_MP3_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


def _end_of_mp3(data: bytes) -> int:
    """Where the last frame ends, frame by frame; the file's end at the first thing that is no frame."""
    frames = without_tags(data)
    position = 0
    while position + 4 <= len(frames):
        size = _mp3_frame_size(frames[position : position + 4])
        if size is None:
            return len(data)
        position += size
    return len(data) + max(0, position - len(frames))


def _mp3_frame_size(header: bytes) -> int | None:
    """Bytes of an MPEG audio frame by its header; None where it is none, or of free format."""
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
    """An EBML variable-length size and the position behind it; None where all its bits are set: unknown."""
    first = data[position]
    length = 9 - first.bit_length()
    if not 1 <= length <= 8:
        raise CorruptAudio("The recording has a damaged header.")
    value = int.from_bytes(data[position : position + length]) & ((1 << 7 * length) - 1)
    return (None if value == (1 << 7 * length) - 1 else value), position + length
