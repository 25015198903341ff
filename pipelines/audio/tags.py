"""Skip what taggers and recorders put before, between and behind the audio: tags and padding."""

import struct

ID3V1_BYTES = 128
APE_FOOTER_BYTES = 32
_APE_HAS_HEADER = 0x8000_0000
_APE_IS_HEADER = 0x2000_0000
_LYRICS_START, _LYRICS_END = b"LYRICSBEGIN", b"LYRICS200"
MAX_TAGS = 1000
"""Most tags one behind the other: empty ones of 10 bytes would take half a minute in an upload of 256 MB."""
_BLOCK_BYTES = 1 << 16
_PADDING = b"\0\r\n "
"""Bytes that recorders, editors and text tools leave: sectors of zeros, and ends of lines."""
MP4_ATOMS = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"moof", b"pnot"})
"""Types of the atoms that an MP4 begins with; before each there are four bytes of its size, often zeros."""


def after_tags(data: bytes, position: int) -> int:
    """Return the position after tags and padding bytes, or in the middle of more than `MAX_TAGS`."""
    for _ in range(MAX_TAGS):
        end = _after_padding(data, _after_tag(data, position))
        if end == position:
            break
        position = end
    return position


def id3_size(data: bytes, position: int) -> int:
    """Return the size in bytes of the ID3v2 tag at a position, 0 without one (id3.org, ID3v2.4, 3.1)."""
    header = data[position : position + 10]
    if header[:3] != b"ID3" or len(header) < 10 or 0xFF in header[3:5]:
        return 0
    size = 0
    for byte in header[6:10]:
        size = size << 7 | byte & 0x7F
    has_footer = header[5] & 0x10
    return 10 + size + (10 if has_footer else 0)


def _after_tag(data: bytes, position: int) -> int:
    """Return the position after the tag at a position, if there is one."""
    if size := id3_size(data, position):
        return min(position + size, len(data))
    if data.startswith(b"TAG", position) and position + ID3V1_BYTES <= len(data):
        return position + ID3V1_BYTES
    if data.startswith(b"APETAGEX", position) and position + APE_FOOTER_BYTES <= len(data):
        return min(position + _ape_size(data, position), len(data))
    if data.startswith(_LYRICS_START, position):
        end = data.find(_LYRICS_END, position)
        return position if end < 0 else end + len(_LYRICS_END)
    return position


def _ape_size(data: bytes, position: int) -> int:
    """Return the size of an APE tag of which the header, or only the footer, is at a position."""
    size, _, flags = struct.unpack_from("<III", data, position + 12)
    return APE_FOOTER_BYTES + size if flags & _APE_IS_HEADER else APE_FOOTER_BYTES


def _after_padding(data: bytes, start: int) -> int:
    """Return the position after padding; the size of an MP4's first atom looks like padding, but is none."""
    position = start
    while block := data[position : position + _BLOCK_BYTES]:
        rest = len(block.lstrip(_PADDING))
        position += len(block) - rest
        if rest:
            break
    for atom in range(max(start, position - 7), position):
        if data[atom + 4 : atom + 8] in MP4_ATOMS:
            return atom
    return position
