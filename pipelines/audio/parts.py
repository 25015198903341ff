"""Split an upload into the files that it joins, one behind the other, as speech synthesis and recorders do.

Players differ in what they play of such an upload, and a decoder reads the first file alone. Here each file
is decoded by itself, and the recording is all of them in their order.
"""

from dataclasses import dataclass

from config.settings import AudioLimits
from pipelines.audio.extents import end_of_file
from pipelines.audio.formats import Container, sniff_at, supported_formats
from pipelines.audio.frames import end_of_frames, next_frames
from pipelines.audio.tags import after_tags
from voxgraph.errors import CorruptAudio, UnsupportedAudio

MAX_PARTS = 10_000
"""Most files that an upload may join: a sentence of one second each, in three hours."""
FRAMED = (Container.MP3, Container.ADTS, Container.AC3, Container.EAC3, Container.AMR)
"""Containers that are nothing but frames, one behind the other."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of an upload, without the tags around it."""

    container: Container
    data: bytes
    lost_s: float = 0.0
    """Seconds of damaged content before it, which belong to the recording."""


def split(data: bytes, limits: AudioLimits) -> list[Part]:
    """Return the files of an upload in their order; at least one.

    Tags and padding between files are left out, and bytes behind the last that begin no file.

    Raises:
        UnsupportedAudio: The content begins with no supported container.
        CorruptAudio: A file is truncated, there are more than `MAX_PARTS`, or behind the last frame there are
            more bytes than `AudioLimits.max_damaged_share` of all.
    """
    parts: list[Part] = []
    position, lost_s = after_tags(data, 0), 0.0
    while position < len(data):
        container = sniff_at(data, position)
        if container is None and parts and parts[-1].container in FRAMED:
            following = next_frames(data, position)
            if following is None:
                _check_rest(data, position, limits)
                break
            lost_s = _seconds_lost(parts[-1], following - position)
            position = following
            continue
        if container is None:
            break
        end = end_of_file(container, data, position)
        is_whole = position == 0 and end == len(data)
        parts.append(Part(container, data if is_whole else data[position:end], lost_s))
        if len(parts) > MAX_PARTS:
            raise CorruptAudio(f"The upload joins more than {MAX_PARTS} files.")
        position, lost_s = after_tags(data, max(end, position + 1)), 0.0
    if not parts:
        raise UnsupportedAudio(f"This is not a recording in a supported container: {supported_formats()}.")
    return parts


def _check_rest(data: bytes, position: int, limits: AudioLimits) -> None:
    rest = len(data) - position
    if rest > limits.max_damaged_share * len(data):
        raise CorruptAudio(f"The recording is damaged: its last {rest} bytes are no frames.")


def _seconds_lost(before: Part, size: int) -> float:
    """Return the seconds of damaged bytes in a stream of frames, at the bitrate of the frames before."""
    end, seconds = end_of_frames(before.data, 0)
    return seconds * size / end if end else 0.0
