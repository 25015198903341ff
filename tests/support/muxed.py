"""Bursts of a tone at known times, muxed with known timestamps into any container."""

import io
from collections.abc import Sequence
from fractions import Fraction

import av
import clips
import numpy as np
import numpy.typing as npt

BURSTS = ((0.5, 1.0), (2.0, 2.4))
"""Start and end of the bursts in seconds."""
SECONDS = 3.0
ONSETS = tuple(start for start, _ in BURSTS)


def bursts(
    rate: int, spans: Sequence[tuple[float, float]] = BURSTS, seconds: float = SECONDS
) -> npt.NDArray[np.float32]:
    """Return silence with bursts of 1 kHz: float32, (samples,)."""
    samples = np.zeros(round(seconds * rate), np.float32)
    for start, end in spans:
        time = np.arange(round((end - start) * rate)) / rate
        first = round(start * rate)
        samples[first : first + len(time)] = 0.5 * np.sin(2 * np.pi * 1000 * time)
    return samples


def onsets(waveform: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the times in seconds at which the level of a waveform of 16 kHz rises above a threshold.

    The level ripples while a burst fades, so that it must have been below for 20 ms.
    """
    loud = np.convolve(np.abs(waveform), np.ones(80) / 80, "same") > 0.1
    edges = np.diff(loud.astype(np.int8), prepend=0)
    rises, falls = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    last_fall = np.concatenate([[-np.inf], falls])[np.searchsorted(falls, rises)]
    return (rises[rises - last_fall > 320] - 1) / 16_000


def mux(
    container: str,
    codec: str,
    rate: int,
    samples: npt.NDArray[np.float32] | None = None,
    *,
    late_s: float = 0.0,
    gaps: Sequence[tuple[float, float]] = (),
    with_video: bool = False,
    **options: str,
) -> bytes:
    """Encode and mux samples of one channel.

    Args:
        container: FFmpeg's name of the muxer.
        codec: FFmpeg's name of the encoder.
        rate: Sampling rate in Hz.
        samples: (samples,); None: `bursts`.
        late_s: Seconds that are added to every timestamp.
        gaps: Times in seconds of the samples, and the seconds by which the timestamps jump there.
        with_video: Add a picture stream that begins at 0.
        **options: Options of the muxer, ``live`` among them for Matroska without sizes.
    """
    samples = bursts(rate) if samples is None else samples
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, options=options) as file:
        stream = file.add_stream(codec, rate=rate, layout="mono")
        context = stream.codec_context
        if codec in ("amr_nb", "wmav2"):
            context.bit_rate = 12_200 if codec == "amr_nb" else 64_000
        if with_video:
            _add_video(file)
        source = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout="mono")
        source.sample_rate = rate
        sized = av.AudioResampler(context.format.name, "mono", rate, frame_size=context.frame_size or 960)
        position = 0
        for frame in [*sized.resample(source), *sized.resample(None)]:
            jumps_s = sum(jump for at, jump in gaps if position / rate >= at)
            frame.pts = position + round((late_s + jumps_s) * rate)
            frame.time_base = Fraction(1, rate)
            position += frame.samples
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return buffer.getvalue()


def _add_video(file: av.container.OutputContainer) -> None:
    """Add six seconds of black pictures."""
    stream = file.add_stream("mpeg4", rate=10)
    stream.width = stream.height = 64
    stream.pix_fmt = "yuv420p"
    for number in range(60):
        picture = av.VideoFrame(64, 64, "yuv420p")
        picture.pts, picture.time_base = number, Fraction(1, 10)
        file.mux(stream.encode(picture))
    file.mux(stream.encode(None))


def id3(size: int, version: int = 3) -> bytes:
    """Return an ID3v2 tag with a body of zeros."""
    digits = bytes(size >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3" + bytes([version, 0, 0]) + digits + bytes(size)


def by_sound_file(kind: str, subtype: str, rate: int) -> bytes:
    """Return the bursts as libsndfile writes them."""
    return clips.soundfile_bytes(bursts(rate)[:, None], rate, kind, subtype)
