"""Read any supported container with PyAV's FFmpeg, and place its frames by their timestamps."""

import io
import re
import struct
from collections.abc import Iterator

import av
import numpy as np

from config.settings import AudioLimits
from pipelines.audio import riff
from pipelines.audio.formats import FORMATS, Container
from pipelines.audio.mp4_index import check_index
from pipelines.audio.parts import FRAMED, Part
from pipelines.audio.spans import JOINED_S, Findings, Samples, Span, silence
from pipelines.audio.stream_limits import check_duration, check_stream
from pipelines.audio.timeline import Timeline, zero_of
from voxgraph.errors import CorruptAudio, DecodingTooCostly, UnsupportedAudio

MAX_SAFE_PLANES = 7
"""Maximum channels of a planar frame that `av.AudioFrame.to_ndarray` reads safely.

PyAV 18.1.0, the newest, counts the planes of a frame up to a null pointer. FFmpeg's array has eight entries,
so a frame of eight channels has no null pointer: PyAV reads past the array and the process crashes. This
workaround can go once PyAV takes the number of planes from the channel layout.
"""
SHORT_FRAME_S = 0.005
"""Length under which a frame takes as long to handle as to decode."""
MAX_SHORT_FRAMES = 250_000
"""Maximum short frames of a file, which take 4 s: ten minutes of Opus in packets of 2.5 ms."""
PROBED_BYTES = 500_000
"""Bytes of bare frames in which FFmpeg looks for one that it can decode, and whose packets it keeps:
with its default of 5 MB, 245 MB of memory for broken frames of nine bytes."""
_SHORT_S = 0.25
"""Seconds that a file may be shorter than its header states: a last packet's padding, or rounding."""
_EXACT_S = 0.001
"""The same for a header that counts samples."""
_ERROR_TEXT = {av.error.InvalidDataError: "its data is invalid", av.error.EOFError: "it ends too early"}


def read(part: Part, limits: AudioLimits, findings: Findings) -> Iterator[Span]:
    """Yield the samples of a file's audio stream, with silence where the file has none.

    FFmpeg is restricted to one demuxer, the decoders of `FORMATS` and no protocol, so that it opens no other
    file and no picture. The stream is the default one that can be decoded, or else the first. A packet that
    cannot be decoded is silence, of which `findings` counts the seconds.

    Raises:
        UnsupportedAudio: There is no audio stream, none can be decoded, or it is beyond a limit.
        CorruptAudio: The container is damaged, or ends before the duration in its header.
        AudioTooLong: Beyond a limit.
        DecodingTooCostly: More than `MAX_SHORT_FRAMES` short frames.
    """
    name, decoders = FORMATS[part.container].name, FORMATS[part.container].decoders
    data = riff.with_sizes(part.data) if part.container is Container.WAV else part.data
    if part.container is Container.MP4:
        check_index(data)
    # FFmpeg decodes parts of every stream to learn about it, and would do so with pictures of gigabytes.
    options = {
        "protocol_whitelist": "",
        "format_whitelist": part.container.value,
        "codec_whitelist": ",".join(decoders),
    }
    if part.container in FRAMED:
        options["probesize"] = str(PROBED_BYTES)
    try:
        with av.open(
            io.BytesIO(data),
            format=part.container.value,
            container_options=options,
            metadata_errors="ignore",
        ) as file:
            # For bare frames FFmpeg extrapolates the duration from the first ones, silent or not.
            if file.duration is not None and part.container not in FRAMED:
                check_duration(file.duration / av.time_base, limits)
            stream = _stream(file, part)
            # WavPack asks for threads, which a confined process cannot start, and loses its first packets.
            stream.codec_context.thread_count = 1
            yield from _Reader(file, stream, part, limits, findings).spans()
    except MemoryError:
        raise
    except (av.error.FFmpegError, ValueError) as error:
        reason = _ERROR_TEXT.get(type(error), "its structure is invalid")
        raise CorruptAudio(f"The {name} recording is damaged: {reason}.") from error


def _stream(file: av.container.InputContainer, part: Part) -> av.AudioStream:
    """Return the audio stream that players take: the default one that can be decoded, or else the first."""
    streams, entry = file.streams.audio, FORMATS[part.container]
    if not streams:
        raise UnsupportedAudio(f"The {entry.name} file has no audio stream.")
    decodable = [stream for stream in streams if _decoder(stream) in entry.decoders]
    if not decodable:
        codecs = _codec_names(part) or ", ".join(dict.fromkeys(map(_decoder, streams))) or "unknown"
        raise UnsupportedAudio(f"The codec {codecs} in the {entry.name} file is not supported.")
    default = [stream for stream in decodable if stream.disposition & av.stream.Disposition.default]
    return (default or decodable)[0]


def _decoder(stream: av.AudioStream) -> str:
    """Return the name of the decoder that FFmpeg would take for a stream; empty if it has none."""
    try:
        return str(av.Codec(stream.codec_context.name, "r").name)
    except (ValueError, AttributeError, av.error.FFmpegError):
        return ""


def _codec_names(part: Part) -> str:
    """Return the codecs of a file by the names that its container gives them, if it does, for a message."""
    names = list[bytes]()
    if part.container is Container.MP4:
        names = re.findall(rb"stsd.{12}([ -~]{4})", part.data, re.DOTALL)
    elif part.container is Container.MATROSKA:
        # The element CodecID: its mark, its length with the highest bit set, the name.
        found = re.findall(rb"\x86([\x83-\x9f])(A_[ -~]+)", part.data)
        names = [name[: length[0] & 0x7F] for length, name in found]
    return ", ".join(dict.fromkeys(name.decode("ascii").strip() for name in names))


class _Reader:
    """Reads one stream of an open file."""

    def __init__(
        self,
        file: av.container.InputContainer,
        stream: av.AudioStream,
        part: Part,
        limits: AudioLimits,
        findings: Findings,
    ) -> None:
        self._file = file
        self._stream = stream
        self._container = part.container
        self._data = part.data
        self._limits = limits
        self._findings = findings
        start_s = None if file.start_time is None else file.start_time / av.time_base
        # A stream of frames has no clock, only the delay of its encoder, which is not the recording's.
        self._timeline = Timeline(start_s if part.container in FRAMED and start_s else zero_of(start_s))
        self._to_packed = av.AudioResampler(format="flt")
        self._joining = av.AudioFifo()
        self._lost_s = 0.0
        """Seconds of packets that could not be decoded since the last frame."""
        self._format = (0, 0)
        """Sampling rate and channels of the last frame."""
        self._short_frames = 0
        self._last_byte = 0
        """Position of the file up to which packets were read."""

    def spans(self) -> Iterator[Span]:
        """Yield the samples of the stream."""
        # All streams are read, so that the last packet of the file is known.
        for packet in self._file.demux():
            self._last_byte = max(self._last_byte, (packet.pos or 0) + packet.size)
            if packet.stream is not self._stream and packet.stream.index != self._stream.index:
                continue
            yield from self._decoded(packet)
        yield from self._joined()
        yield from self._end()

    def _decoded(self, packet: av.Packet) -> Iterator[Span]:
        try:
            frames = packet.decode()
        except MemoryError:
            raise
        except av.error.FFmpegError:
            if packet.size:
                self._lost_s += float((packet.duration or 0) * (packet.time_base or 0))
            return
        for frame in frames:
            if frame.samples and frame.sample_rate:
                yield from self._placed(frame)

    def _placed(self, frame: av.AudioFrame) -> Iterator[Span]:
        rate, channels = frame.sample_rate, frame.layout.nb_channels
        if (rate, channels) != self._format:
            yield from self._joined()
            check_stream(channels, rate, self._limits)
            self._format = rate, channels
        if frame.pts is None and self._lost_s:
            yield from self._joined()
            yield from self._silence(self._lost_s)
        self._count(frame.samples / rate)
        before_s = self._timeline.position_s
        at_s = frame.time
        placement = self._timeline.place(at_s, frame.samples / rate)
        if placement.silence_s:
            yield from self._joined()
            check_duration(before_s + placement.silence_s, self._limits)
            # FLAC has no gaps: where samples are missing, a frame is damaged.
            is_damage = self._container is Container.FLAC
            damaged_s = placement.silence_s if is_damage else min(self._lost_s, placement.silence_s)
            self._findings.damaged_s += damaged_s
            self._findings.missing_s += placement.silence_s - damaged_s
            yield from silence(placement.silence_s, rate, channels)
        self._lost_s = 0.0
        check_duration(self._timeline.position_s, self._limits)
        if dropped := round(placement.dropped_s * rate):
            yield from self._joined()
            if dropped < frame.samples:
                yield Span(self._samples(frame)[dropped:], rate)
            return
        # It is placed; the queue would compare timestamps again.
        frame.pts = None
        try:
            self._joining.write(frame)
        except ValueError:  # Another sample format or layout.
            yield from self._joined()
            self._joining.write(frame)
        if self._joining.samples >= JOINED_S * rate:
            yield from self._joined()

    def _count(self, seconds: float) -> None:
        """Refuse a file of very many short frames: what it costs does not follow from its length."""
        if seconds < SHORT_FRAME_S:
            self._short_frames += 1
            if self._short_frames > MAX_SHORT_FRAMES:
                raise DecodingTooCostly(
                    f"More than {MAX_SHORT_FRAMES} packets of less than {SHORT_FRAME_S * 1e3:g} ms."
                )

    def _joined(self) -> Iterator[Span]:
        """Yield the frames that follow each other as one: an array for each takes as long as decoding it."""
        if self._joining.samples:
            frame = self._joining.read()
            yield Span(self._samples(frame), frame.sample_rate)
        self._joining = av.AudioFifo()

    def _samples(self, frame: av.AudioFrame) -> Samples:
        """Return the samples of a frame as float32, shape (samples, channels)."""
        if frame.format.name == "fltp" and frame.layout.nb_channels <= MAX_SAFE_PLANES:
            # What PyAV's to_ndarray does, without a copy for one channel: that took a tenth of an MP3's time.
            planes = [np.frombuffer(plane, np.float32, frame.samples) for plane in frame.planes]
            return planes[0][:, np.newaxis] if len(planes) == 1 else np.array(planes).T
        channels = frame.layout.nb_channels
        packed = [part.to_ndarray().reshape(-1, channels) for part in self._to_packed.resample(frame)]
        return np.concatenate(packed) if packed else np.empty((0, channels), np.float32)

    def _silence(self, seconds: float) -> Iterator[Span]:
        """Yield silence in place of damage, where no timestamp asks for it."""
        self._timeline.position_s += seconds
        check_duration(self._timeline.position_s, self._limits)
        self._findings.damaged_s += seconds
        self._lost_s = 0.0
        yield from silence(seconds, *self._format)

    def _end(self) -> Iterator[Span]:
        """Add the damaged packets behind the last frame; refuse a file that ends too early."""
        if self._format == (0, 0):
            if self._lost_s:
                raise CorruptAudio("No part of the recording could be decoded.")
            return
        # The header of a FLAC counts its samples: one whose last frame is damaged is truncated there.
        is_exact = self._container is Container.FLAC
        if self._lost_s and not is_exact:
            yield from self._silence(self._lost_s)
        missing_s = self._stated_end_s() - self._timeline.position_s
        if missing_s > (_EXACT_S if is_exact else _SHORT_S):
            if is_exact:
                raise CorruptAudio(f"The recording is truncated: its last {missing_s:.2f} s are missing.")
            yield from self._silence(missing_s)
        if self._container is Container.MATROSKA and not self._is_read_to_its_end():
            raise CorruptAudio("The recording is damaged: what follows its first part cannot be read.")

    def _is_read_to_its_end(self) -> bool:
        """Whether no packets follow the last one that the demuxer of Matroska has found.

        After damage it looks for the next group of packets, and ends without an error where there is none.
        """
        after = self._data.find(_CLUSTER, self._last_byte)
        if 0 <= after < len(self._data) - _EMPTY_CLUSTER_BYTES:
            return False
        near = self._data[self._last_byte : self._last_byte + _LACED_BYTES]
        return len(near) < _LACED_BYTES or any(mark in near for mark in _AFTER_CLUSTERS)

    def _stated_end_s(self) -> float:
        """Return the time at which the stream ends by its header, in seconds; 0.0 if unknown."""
        stream = self._stream
        if self._container is Container.OGG and stream.duration is None:
            (granule,) = struct.unpack_from("<q", self._data, self._data.rfind(b"OggS") + 6)
            return self._timeline.moved(granule / stream.rate)
        if self._container not in _STATING or stream.duration is None or stream.time_base is None:
            return 0.0
        # The duration of an Ogg stream counts from timestamp 0.
        start = 0 if self._container is Container.OGG else stream.start_time or 0
        end_s = float((start + stream.duration) * stream.time_base)
        return self._timeline.moved(end_s)


_STATING = (Container.FLAC, Container.OGG, Container.MP4)
"""Containers that state the duration of a stream. In FLAC nothing else shows that a file is truncated; in the
others the bytes are all there (`pipelines.audio.extents`), so that what is missing at the end is damaged."""
_CLUSTER = b"\x1f\x43\xb6\x75"
"""The mark of a group of packets in Matroska (RFC 9559, 5.1.3)."""
_AFTER_CLUSTERS = (
    b"\x1c\x53\xbb\x6b",
    b"\x12\x54\xc3\x67",
    b"\x11\x4d\x9b\x74",
    b"\x19\x41\xa4\x69",
    b"\x10\x43\xa7\x70",
)
"""The marks of the elements that may follow the packets: Cues, Tags, SeekHead, Attachments, Chapters."""
_EMPTY_CLUSTER_BYTES = 64
_LACED_BYTES = 4096
"""Bytes of a block that may follow the start of the last packet in it."""
