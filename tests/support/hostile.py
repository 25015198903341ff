"""Small recordings whose headers and pictures cost a careless decoder gigabytes or minutes."""

import base64
import functools
import io
import struct
import zlib
from collections.abc import Callable, Sequence
from fractions import Fraction

import av
import clips
import numpy as np
import soundfile
from recordings import DATA

RATE_HZ = 16_000
_SEGMENT, _CLUSTER = b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"
PICTURES = 8
"""Pictures in each file that has any."""
OPUS_BYTES = {2.5: 0xE0, 5.0: 0xE8}
"""The byte of a packet of Opus without sound, by its milliseconds (RFC 6716, 3.1)."""


def atom(kind: bytes, *content: bytes) -> bytes:
    """Return an MP4 atom."""
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def table(kind: bytes, *words: int) -> bytes:
    """Return an atom of version 0 without flags, with a content of 32-bit words."""
    return atom(kind, struct.pack(f">I{len(words)}I", 0, *words))


def track(
    samples: int,
    stts: Sequence[int],
    stsc: Sequence[int] = (1, 1, 1, 1),
    stco: Sequence[int] = (1, 40),
    codec: bytes = b"mp4a",
    inside_description: bytes = b"",
) -> bytes:
    """Return a track of mono sound; the sequences are the contents of its tables, the description is last."""
    entry = struct.pack(">6xHHHIHHHHI", 1, 0, 0, 0, 1, 16, 0, 0, RATE_HZ << 16) + inside_description
    index = atom(
        b"stbl",
        table(b"stts", *stts),
        table(b"stsc", *stsc),
        table(b"stsz", 1, samples),
        table(b"stco", *stco),
        atom(b"stsd", struct.pack(">II", 0, 1), atom(codec, entry)),
    )
    handler = atom(b"hdlr", struct.pack(">II4s12xB", 0, 0, b"soun", 0))
    information = atom(b"minf", atom(b"smhd", bytes(8)), index)
    media = atom(b"mdia", table(b"mdhd", 0, 0, RATE_HZ, 0, 0), handler, information)
    return atom(b"trak", table(b"tkhd", 0, 0, 1, 0, 0, *[0] * 15), media)


def movie(*content: bytes) -> bytes:
    """Return an MP4 file with 4 KiB of sound."""
    header = table(b"mvhd", 0, 0, 1000, 0, *[0] * 20)
    return atom(b"ftyp", b"M4A \0\0\0\0M4A ") + atom(b"mdat", bytes(4096)) + atom(b"moov", header, *content)


def counted_samples(count: int, tracks: int = 1) -> bytes:
    """An M4A whose samples all have one size, so that no table bounds their number."""
    return movie(*[track(count, (2, 1, 1024, count - 1, 1024))] * tracks)


def large_chunks(chunks: int, samples: int) -> bytes:
    """A QuickTime PCM file that counts as many samples in each chunk."""
    stco = (chunks, *[40] * chunks)
    return movie(track(samples, (1, samples, 1), (1, 1, samples, 1), stco, b"sowt"))


def long_fragment(count: int) -> bytes:
    """A fragmented MP4 whose run of samples has no table."""
    run = atom(b"trun", struct.pack(">II", 0, count))
    fragment = atom(b"traf", atom(b"tfhd", struct.pack(">II", 0, 1)), run)
    extends = atom(b"mvex", table(b"trex", 1, 1, 1024, 1, 0))
    return movie(track(0, (0,)), extends) + atom(b"moof", table(b"mfhd", 1), fragment)


def hidden_table(count: int) -> bytes:
    """An M4A with a table of sizes where none belongs, and where FFmpeg reads it."""
    hidden = table(b"stsz", 1, count)
    return movie(track(1, (2, 1, 1024, count - 1, 1024), inside_description=hidden))


def bmp(width: int) -> bytes:
    """A picture of width x width pixels in run lengths, of which only the end is there."""
    palette = bytes(1024)
    header = struct.pack("<IiiHHIIiiII", 40, width, width, 1, 8, 1, 2, 0, 0, 256, 0)
    offset = 14 + len(header) + len(palette)
    return struct.pack("<2sIHHI", b"BM", offset + 2, 0, 0, offset) + header + palette + b"\0\1"


@functools.cache
def png(width: int) -> bytes:
    """A grey picture of width x width pixels."""
    rows = zlib.compress(bytes((width + 1) * width), 1)
    chunks = (b"IHDR", struct.pack(">II5B", width, width, 8, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def _m4a(width: int) -> bytes:
    covers = [atom(b"data", struct.pack(">II", 27, 0), bmp(width))] * PICTURES
    tags = atom(b"ilst", atom(b"covr", *covers))
    handler = atom(b"hdlr", struct.pack(">II4s4s8xB", 0, 0, b"mdir", b"appl", 0))
    user = atom(b"udta", atom(b"meta", bytes(4), handler, tags))
    plain = clips.ffmpeg_bytes(clips.tone(1.0), RATE_HZ, "ipod", "aac")
    position = plain.index(b"moov") - 4
    (size,) = struct.unpack_from(">I", plain, position)
    return (
        plain[:position]
        + atom(b"moov", plain[position + 8 : position + size], user)
        + plain[position + size :]
    )


def _matroska(width: int) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as file:
        for number in range(PICTURES):
            file.add_attachment(f"{number}.png", "image/png", png(width))
        stream = file.add_stream("libopus", rate=48_000, layout="mono")
        _encode(file, stream, 48_000)
    return buffer.getvalue()


def _picture_block(width: int) -> bytes:
    """Return the content of a picture block (RFC 9639, 8.8)."""
    mime, picture = b"image/bmp", bmp(width)
    head = struct.pack(">II", 3, len(mime)) + mime + struct.pack(">IIIII", 0, width, width, 8, 0)
    return head + struct.pack(">I", len(picture)) + picture


def _flac(width: int) -> bytes:
    plain = clips.soundfile_bytes(clips.tone(1.0), RATE_HZ, "FLAC")
    block = _picture_block(width)
    blocks = (struct.pack(">I", 6 << 24 | len(block)) + block) * PICTURES
    header = bytearray(plain[:42])
    header[4] &= 0x7F  # No longer the last block.
    header[21] &= 0xF0  # No number of samples, which libsndfile does not read and FFmpeg does.
    header[22:26] = bytes(4)
    rest = plain[42:] if not plain[4] & 0x80 else b"\x81\0\0\0" + plain[42:]
    return bytes(header) + blocks + rest


def _ogg(width: int) -> bytes:
    tag = base64.b64encode(_picture_block(width)).decode()
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="ogg") as file:
        stream = file.add_stream("libopus", rate=48_000, layout="mono")
        stream.metadata["METADATA_BLOCK_PICTURE"] = tag
        _encode(file, stream, 48_000)
    return buffer.getvalue()


def _video(width: int) -> bytes:
    """A QuickTime file with sound and a stream of large pictures."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mov") as file:
        sound = file.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono")
        pictures = file.add_stream("png", rate=1)
        pictures.width = pictures.height = width
        pictures.pix_fmt = "gray"
        file.start_encoding()
        for number in range(PICTURES):
            packet = av.Packet(png(width))
            packet.stream, packet.pts, packet.dts, packet.time_base = pictures, number, number, Fraction(1)
            file.mux(packet)
        _encode(file, sound, RATE_HZ)
    return buffer.getvalue()


def short_packets(size: int, milliseconds: float = 2.5) -> bytes:
    """A Matroska file of live Opus whose packets have a byte and 2.5 or 5 ms each, of about `size` bytes."""
    byte = bytes([OPUS_BYTES[milliseconds]])
    plain = clips.ffmpeg_bytes(clips.tone(1.0, 48_000), 48_000, "matroska", "libopus")
    head = bytearray(plain[: plain.index(_CLUSTER)])
    length = head.index(_SEGMENT) + len(_SEGMENT)
    head[length : length + 8] = b"\x01" + b"\xff" * 7  # Of unknown length.
    packets = [
        b"\xa3\x85\x81" + struct.pack(">hB", int(number * milliseconds), 0x80) + byte
        for number in range(round(30_000 / milliseconds))
    ]
    clusters = (
        b"\xe7\x84" + struct.pack(">I", number * 30_000) + b"".join(packets)
        for number in range(size // sum(map(len, packets)))
    )
    return bytes(head) + b"".join(
        _CLUSTER + struct.pack(">I", 0x1 << 28 | len(each)) + each for each in clusters
    )


def long_opus(seconds: float, bits_per_s: int = 6_000) -> bytes:
    """Speech as Opus in Ogg, at the least rate that Opus has: hours in few bytes.

    The same half a minute comes again and again; it is encoded once.
    """
    rate_hz, frame = 48_000, 960
    speech, speech_hz = soundfile.read(DATA / "conversation.flac", dtype="float32")
    samples = np.repeat(speech, rate_hz // speech_hz)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="ogg") as file:
        stream = file.add_stream("libopus", rate=rate_hz, layout="mono", options={"application": "voip"})
        stream.bit_rate = bits_per_s
        packets = list[bytes]()
        for start in range(0, len(samples) - frame + 1, frame):
            part = av.AudioFrame.from_ndarray(samples[None, start : start + frame], "flt", "mono")
            part.sample_rate, part.pts = rate_hz, start
            packets += map(bytes, stream.encode(part))
        for number in range(round(seconds * rate_hz / frame)):
            packet = av.Packet(packets[number % len(packets)])
            packet.stream, packet.time_base = stream, Fraction(1, rate_hz)
            packet.pts = packet.dts = number * frame
            packet.duration = frame
            file.mux(packet)
    return buffer.getvalue()


def wide_silence(rate_hz: int, channels: int, seconds: int) -> bytes:
    """FLAC files of silence, one behind the other: few bytes and many samples."""
    part = clips.soundfile_bytes(np.zeros((10 * rate_hz, channels), np.int16), rate_hz, "FLAC")
    return part * (seconds // 10)


def broken_frames(count: int) -> bytes:
    """AAC of as many frames of two bytes, none of which can be decoded."""
    return b"\xff\xf1\x60\x40\x01\x3f\xfc\0\0" * count


def empty_chunks(count: int) -> bytes:
    """A WAV with as many empty chunks before its samples."""
    plain = clips.soundfile_bytes(clips.tone(), RATE_HZ, "WAV")
    content = plain[12:]
    file = bytearray(plain[:12] + b"JUNK\0\0\0\0" * count + content)
    file[4:8] = struct.pack("<I", len(file) - 8)
    return bytes(file)


def empty_atoms(count: int) -> bytes:
    """An M4A with as many empty atoms behind its sound."""
    return clips.ffmpeg_bytes(clips.tone(1.0), RATE_HZ, "ipod", "aac") + atom(b"free") * count


def _encode(file: av.container.OutputContainer, stream: av.AudioStream, rate: int) -> None:
    frame = av.AudioFrame.from_ndarray(clips.tone(1.0, rate).reshape(1, -1), format="flt", layout="mono")
    frame.sample_rate = rate
    context = stream.codec_context
    sized = av.AudioResampler(context.format.name, "mono", rate, frame_size=context.frame_size or 960)
    for part in [*sized.resample(frame), *sized.resample(None)]:
        file.mux(stream.encode(part))
    file.mux(stream.encode(None))


PICTURED: dict[str, Callable[[int], bytes]] = {
    "M4A": _m4a,
    "Matroska": _matroska,
    "FLAC": _flac,
    "Ogg": _ogg,
    "QuickTime video": _video,
}
"""Makers of recordings of a second with large pictures, by container; they take the width in pixels."""
