"""Test that times are those that FFmpeg itself gives: its demuxer, its decoder and its ``aresample=async=1``.

The filter places frames by their timestamps, as players do. It runs in the libraries that come with PyAV.
"""

import io

import av
import clips
import muxed
import numpy as np
import numpy.typing as npt
import pytest
from av.filter import Graph

from config.settings import AudioLimits
from pipelines.audio import ffmpeg
from pipelines.audio.decoding import decode
from pipelines.audio.parts import split
from pipelines.audio.spans import Findings

TOLERANCE_S = 0.02
LATE_S, GAP_AT_S, GAP_S = 1.7, 1.5, 1.25
KINDS = {
    "MP4 AAC": ("mp4", "aac", 44_100),
    "MP4 ALAC": ("mp4", "alac", 44_100),
    "MP4 Opus": ("mp4", "libopus", 48_000),
    "MP4 MP3": ("mp4", "libmp3lame", 44_100),
    "QuickTime PCM": ("mov", "pcm_s16le", 16_000),
    "WebM Opus": ("webm", "libopus", 48_000),
    "Matroska AAC": ("matroska", "aac", 44_100),
    "Matroska FLAC": ("matroska", "flac", 48_000),
    "Matroska PCM": ("matroska", "pcm_s16le", 16_000),
    "Ogg Opus": ("ogg", "libopus", 48_000),
    "ASF WMA": ("asf", "wmav2", 44_100),
}
"""Muxer, encoder and sample rate."""


def by_ffmpeg(data: bytes) -> npt.NDArray[np.float32]:
    """Decode as ``ffmpeg -i FILE -af aresample=async=1:first_pts=0 -ar 16000 -ac 1`` does."""
    blocks = []
    with av.open(io.BytesIO(data)) as file:
        stream = file.streams.audio[0]
        graph = Graph()
        source = graph.add_abuffer(template=stream, time_base=stream.time_base)
        resample = graph.add("aresample", "16000:async=1:first_pts=0:ochl=mono:osf=flt")
        sink = graph.add("abuffersink")
        source.link_to(resample)
        resample.link_to(sink)
        graph.configure()
        for frame in [*file.decode(stream), None]:
            source.push(frame)
            while True:
                try:
                    blocks.append(sink.pull().to_ndarray()[0])
                except (av.error.BlockingIOError, av.error.EOFError):
                    break
    return np.concatenate(blocks)


CHANGES = {
    "plain": {},
    "late start": {"late_s": LATE_S},
    "gap": {"gaps": [(GAP_AT_S, GAP_S)]},
    "late start and gap": {"late_s": LATE_S, "gaps": [(GAP_AT_S, GAP_S)]},
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", KINDS)
def test_onsets_are_those_of_ffmpeg(name: str, change: str) -> None:
    data = muxed.mux(*KINDS[name], **CHANGES[change])

    expected, found = muxed.onsets(by_ffmpeg(data)), muxed.onsets(decode(data, AudioLimits()))

    assert len(expected) == len(muxed.ONSETS)
    assert np.allclose(found, expected, atol=TOLERANCE_S), (found, expected)


def test_the_sound_of_a_video_is_as_late_as_in_ffmpeg() -> None:
    data = muxed.mux("mp4", "aac", 44_100, late_s=LATE_S, with_video=True)

    expected, found = muxed.onsets(by_ffmpeg(data)), muxed.onsets(decode(data, AudioLimits()))

    assert expected[0] > LATE_S
    assert np.allclose(found, expected, atol=TOLERANCE_S), (found, expected)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_samples_are_those_of_pyav(channels: int) -> None:
    data = clips.ffmpeg_bytes(clips.tone(1.0, 48_000, channels), 48_000, "adts", "aac")
    (part,) = split(data, AudioLimits())

    found = np.concatenate([span.samples for span in ffmpeg.read(part, AudioLimits(), Findings())])

    with av.open(io.BytesIO(data)) as file:
        expected = np.concatenate([frame.to_ndarray().T for frame in file.decode(audio=0)])
    np.testing.assert_array_equal(found, expected)
