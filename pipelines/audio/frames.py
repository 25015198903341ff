"""Headers of MPEG audio, ADTS, AC-3 and E-AC-3 frames: their sizes, and where a run of frames ends."""

import re
from dataclasses import dataclass

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
_ADTS_HZ = (
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
)  # fmt: skip
_ADTS_FRAME_SAMPLES = 1024
_SYNC = re.compile(rb"\xff[\xe0-\xff]|\x0bw")
_AC3_SYNC = b"\x0bw"
_AC3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_AC3_HZ = (48_000, 44_100, 32_000)
_AC3_BLOCK_SAMPLES = 256
_MAX_AC3_BSID, _MAX_EAC3_BSID = 10, 16
"""Highest versions of the syntax (bsid) of AC-3 and of E-AC-3."""


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """The header of one frame."""

    size: int
    """Bytes of the frame with its header."""
    seconds: float
    stream: tuple[int, int, int]
    """Version, layer and sampling rate, which the frames of a stream share; the layer is 0 for ADTS and -1
    for AC-3 and E-AC-3."""


def is_mpeg(head: bytes) -> bool:
    """Whether content begins with a header of MPEG audio; the free format (bitrate 0) is one, too."""
    return (
        len(head) >= 4 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x18 != 0x08
        and head[1] & 0x06 != 0 and head[2] >> 4 != 0xF and head[2] & 0x0C != 0x0C
    )  # fmt: skip


def is_adts(head: bytes) -> bool:
    """Whether content begins with a header of ADTS."""
    return len(head) >= 4 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0


def is_ac3(head: bytes) -> bool:
    """Whether content begins with a header of AC-3."""
    return head.startswith(_AC3_SYNC) and len(head) > 5 and head[5] >> 3 <= _MAX_AC3_BSID


def is_eac3(head: bytes) -> bool:
    """Whether content begins with a header of E-AC-3."""
    return head.startswith(_AC3_SYNC) and len(head) > 5 and _MAX_AC3_BSID < head[5] >> 3 <= _MAX_EAC3_BSID


def frame_at(data: bytes, position: int) -> FrameHeader | None:
    """Read the header of a frame; None for other bytes and for the free format, which states no size."""
    header = data[position : position + 7]
    if header.startswith(_AC3_SYNC):
        return _ac3_frame(header)
    if len(header) < 4 or header[0] != 0xFF or header[1] < 0xE0:
        return None
    if header[1] & 0xF6 == 0xF0:
        return _adts_frame(header)
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bitrate, rate, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer == 0 or bitrate in (0, 15) or rate == 3:
        return None
    bits_per_s = 1000 * _MP3_KBPS[max(version, 2), layer][bitrate - 1]
    hz = _MP3_HZ[version][rate]
    if layer == 3:
        return FrameHeader((12 * bits_per_s // hz + padding) * 4, 384 / hz, (version, layer, hz))
    samples = 576 if layer == 1 and version != 3 else 1152
    return FrameHeader(samples // 8 * bits_per_s // hz + padding, samples / hz, (version, layer, hz))


def end_of_frames(data: bytes, position: int) -> tuple[int, float]:
    """Return the end and the seconds of the run of frames of one stream that starts at a position.

    The end is beyond the content if the last frame is truncated.
    """
    seconds, stream = 0.0, None
    while (frame := frame_at(data, position)) is not None and stream in (None, frame.stream):
        stream = frame.stream
        position += frame.size
        seconds += frame.seconds
    return position, seconds


def next_frames(data: bytes, position: int) -> int | None:
    """Return the position of the next two frames of one stream, or None if there are none."""
    for match in _SYNC.finditer(data, position):
        position = match.start()
        first = frame_at(data, position)
        second = frame_at(data, position + first.size) if first else None
        if first and second and first.stream == second.stream:
            return position
    return None


def _adts_frame(header: bytes) -> FrameHeader | None:
    if len(header) < 7:
        return None
    size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    rate, blocks = header[2] >> 2 & 15, (header[6] & 3) + 1
    if size < 7 or rate >= len(_ADTS_HZ):
        return None
    return FrameHeader(
        size, blocks * _ADTS_FRAME_SAMPLES / _ADTS_HZ[rate], (header[1] >> 3 & 1, 0, _ADTS_HZ[rate])
    )


def _ac3_frame(header: bytes) -> FrameHeader | None:
    """Read a header of AC-3 or E-AC-3 (ETSI TS 102 366, 4.4.1 and E.1.2)."""
    rate = header[4] >> 6 if len(header) > 5 else 3
    if is_eac3(header):
        size = 2 * ((header[2] & 7) << 8 | header[3]) + 2
        second = header[4] >> 4 & 3
        # At half rates the second code is the rate, and a frame has six blocks.
        hz, blocks = (_AC3_HZ[second % 3] // 2, 6) if rate == 3 else (_AC3_HZ[rate], (1, 2, 3, 6)[second])
        return FrameHeader(size, blocks * _AC3_BLOCK_SAMPLES / hz, (1, -1, hz))
    code = header[4] & 0x3F if len(header) > 5 else 0x3F
    if rate == 3 or code >> 1 >= len(_AC3_KBPS) or not is_ac3(header):
        return None
    kbps, hz = _AC3_KBPS[code >> 1], _AC3_HZ[rate]
    words = (2 * kbps, 320 * kbps // 147 + (code & 1), 3 * kbps)[rate]
    return FrameHeader(2 * words, 6 * _AC3_BLOCK_SAMPLES / hz, (0, -1, hz))
