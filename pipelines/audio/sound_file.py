"""Read uncompressed containers and FLAC with libsndfile, which is faster for them than FFmpeg."""

import io
from collections.abc import Iterator

import numpy as np
import soundfile

from config.settings import AudioLimits
from pipelines.audio import riff
from pipelines.audio.formats import Container
from pipelines.audio.parts import Part
from pipelines.audio.spans import Findings, Span
from pipelines.audio.stream_limits import check_duration, check_stream
from voxgraph.errors import CorruptAudio

BLOCK_S = 4.0
"""Seconds of audio that are read at once."""
UNKNOWN_FRAMES = 1 << 62
"""libsndfile's frame count for a FLAC without a total (written to a pipe), which it cannot decode."""
_PCM16_SCALE = np.float32(1 / (1 << 15))
_CONTAINERS = frozenset({Container.W64, Container.AIFF, Container.AU, Container.NIST, Container.FLAC})


class NotRead(Exception):
    """libsndfile does not read the file; FFmpeg may."""


def reads(part: Part) -> bool:
    """Whether libsndfile is asked first: for samples that no codec has compressed, and for FLAC."""
    if part.container is Container.WAV:
        return riff.is_linear(part.data)
    return part.container in _CONTAINERS


def read(part: Part, limits: AudioLimits, findings: Findings) -> Iterator[Span]:
    """Yield the samples of a file; those of a plain WAV without libsndfile.

    Raises:
        NotRead: libsndfile cannot open it, or finds damage.
        CorruptAudio: The file has fewer samples than its header states.
        UnsupportedAudio, AudioTooLong: Beyond a limit.
    """
    is_wav = part.container is Container.WAV
    if is_wav and (plain := riff.plain_pcm(part.data)) is not None:
        yield from _read_plain(part.data, plain, limits, findings)
        return
    data = riff.with_sizes(part.data) if is_wav else part.data
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            check_stream(file.channels, file.samplerate, limits)
            if file.frames >= UNKNOWN_FRAMES:
                raise NotRead
            findings.stated_s = file.frames / file.samplerate
            check_duration(findings.stated_s, limits)
            block, left = int(BLOCK_S * file.samplerate), file.frames
            while left > 0:
                samples = file.read(min(block, left), dtype="float32", always_2d=True)
                if len(samples) == 0:
                    raise NotRead if part.container is Container.FLAC else _truncated(left)
                left -= len(samples)
                yield Span(samples, file.samplerate)
    except soundfile.LibsndfileError as error:
        raise NotRead from error


def _read_plain(data: bytes, plain: riff.PlainPcm, limits: AudioLimits, findings: Findings) -> Iterator[Span]:
    check_stream(plain.channels, plain.sample_rate, limits)
    findings.stated_s = plain.frames / plain.sample_rate
    check_duration(findings.stated_s, limits)
    values = np.frombuffer(data, "<i2", plain.frames * plain.channels, plain.offset)
    frames, block = values.reshape(-1, plain.channels), int(BLOCK_S * plain.sample_rate)
    for start in range(0, plain.frames, block):
        scaled = np.multiply(frames[start : start + block], _PCM16_SCALE, dtype=np.float32)
        yield Span(scaled, plain.sample_rate)


def _truncated(left: int) -> CorruptAudio:
    return CorruptAudio(f"The recording is truncated: its last {left} samples are missing.")
