"""Read uncompressed containers and FLAC with libsndfile, which is faster for them than FFmpeg."""

import io
from collections.abc import Iterator

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
_CONTAINERS = frozenset({Container.W64, Container.AIFF, Container.AU, Container.NIST, Container.FLAC})


class NotRead(Exception):
    """libsndfile does not read the file; FFmpeg may."""


def reads(part: Part) -> bool:
    """Whether libsndfile is asked first: for samples that no codec has compressed, and for FLAC."""
    if part.container is Container.WAV:
        return riff.is_linear(part.data)
    return part.container in _CONTAINERS


def read(part: Part, limits: AudioLimits, findings: Findings) -> Iterator[Span]:
    """Yield the samples of a file.

    Raises:
        NotRead: libsndfile cannot open it, or finds damage.
        CorruptAudio: The file has fewer samples than its header states.
        UnsupportedAudio, AudioTooLong: Beyond a limit.
    """
    data = riff.with_sizes(part.data) if part.container is Container.WAV else part.data
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


def _truncated(left: int) -> CorruptAudio:
    return CorruptAudio(f"The recording is truncated: its last {left} samples are missing.")
