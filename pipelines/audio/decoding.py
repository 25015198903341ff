"""Recordings become waveforms: any container, codec, rate and channel count to 16 kHz mono, in memory.

The only place that decodes. Before it comes the upload, after it everything speaks `Waveform`.
"""

import io
import struct
from collections.abc import Callable, Iterable, Iterator

import av
import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from config.settings import AudioLimits
from pipelines.audio.containers import Container, check_whole, sniff, without_tags
from pipelines.levels import check_level
from voxgraph.errors import (
    AudioTooLong,
    AudioTooShort,
    CorruptAudio,
    EmptyAudio,
    UnsupportedAudio,
)
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

Block = npt.NDArray[np.float32]
"""Some consecutive samples of one channel."""

ProgressCallback = Callable[[float], None]
"""Called with the seconds of audio that a recording has, or has so far."""

QUICK_BYTES = 1 << 19
NULL_TERMINATED_PLANES = 7
"""Most channels of a planar frame that `av.AudioFrame.to_ndarray` reads safely.

PyAV counts the planes of a frame up to a null pointer, which FFmpeg's array of eight only has behind fewer
planes: with eight channels PyAV 18.1.0, the newest, reads past the array and the process crashes. A version
of PyAV that takes the number of planes from the channel layout makes this way round unnecessary.
"""
UNTOLD_FRAMES = 1 << 62
"""So many, says libsndfile, where the header says none, and cannot read them: a FLAC written to a pipe."""
_BLOCK_S = 4.0
_SOUNDFILE = {Container.WAV, Container.W64, Container.AIFF, Container.FLAC}
"""Containers that libsndfile decodes faster than ffmpeg does through Python."""


def decode(data: bytes, limits: AudioLimits, on_progress: ProgressCallback = lambda _: None) -> Waveform:
    """Decode a recording.

    Reads WAV (PCM of 8 to 32 bits, float, A-law, mu-law), AIFF, FLAC, MP3, AAC, M4A and other MP4, OGG and
    WebM (Vorbis, Opus), known by their content. Channels are averaged; the level stays as it is, float
    samples beyond full scale included. Decodes block by block, so memory is the result and a few seconds.

    Args:
        data: The file.
        limits: Beyond one of them the recording is refused.
        on_progress: Called with the seconds of audio that the recording has, or has so far, before they are
            kept in memory, once for each block of some seconds; what it raises ends the decoding.

    Returns:
        Float32, shape (samples,), mono, 16 kHz, finite.

    Raises:
        EmptyAudio: No bytes or no samples.
        UnsupportedAudio: No known container or codec, no audio in it, too many channels, or a sample rate
            or samples out of range.
        CorruptAudio: Cut short or damaged; see `check_whole` of `pipelines.audio.containers`.
        AudioTooShort: Less than `AudioLimits.min_audio_s`.
        AudioTooLong: More than `AudioLimits.max_audio_s`.
        NonFiniteAudio: NaN or infinite samples.
    """
    if not data:
        raise EmptyAudio("The recording is empty: 0 bytes.")
    container = sniff(data)
    if container is None:
        raise UnsupportedAudio(
            "This is not a recording: WAV, AIFF, FLAC, MP3, AAC, M4A, OGG and WebM are read."
        )
    check_whole(container, data)
    read = _read_soundfile if container in _SOUNDFILE else _read_ffmpeg
    waveform = _collect(read(container, data, limits, on_progress))
    if len(waveform) == 0:
        raise EmptyAudio("The recording has no samples.")
    seconds = len(waveform) / SAMPLE_RATE_HZ
    if seconds < limits.min_audio_s:
        raise AudioTooShort(f"{seconds:.3f} s of audio; at least {limits.min_audio_s:g} s are needed.")
    return waveform


def is_quick(data: bytes) -> bool:
    """Whether decoding takes under a millisecond, less than handing it to a thread: a WAV as models hear it.

    Ten seconds of 16-bit PCM at 16 kHz take 0.6 ms, and 1.4 where a thread does it; half a megabyte 0.9 ms.
    The samples follow the format at once: thousands of empty chunks before them take 40 ms.
    """
    if not 44 <= len(data) <= QUICK_BYTES or data[:4] != b"RIFF":
        return False
    if data[12:16] != b"fmt " or data[36:40] != b"data":
        return False
    code, _, rate, _, _, bits = struct.unpack_from("<HHIIHH", data, 20)
    return bool((code, rate, bits) == (1, SAMPLE_RATE_HZ, 16))


def _collect(blocks: Iterable[Block]) -> Waveform:
    """One array of all blocks, each let go as soon as it is copied, so that they never lie there twice."""
    kept = list(blocks)
    waveform = np.empty(sum(map(len, kept)), np.float32)
    position = 0
    kept.reverse()
    while kept:
        block = kept.pop()
        waveform[position : position + len(block)] = block
        position += len(block)
    return waveform


def _read_soundfile(
    container: Container, data: bytes, limits: AudioLimits, on_progress: ProgressCallback
) -> Iterator[Block]:
    """Decode with libsndfile."""
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            _check_stream(file.channels, file.samplerate, limits)
            if file.frames >= UNTOLD_FRAMES:
                yield from _read_ffmpeg(container, data, limits, on_progress)
                return
            _check_duration(file.frames / file.samplerate, limits)
            on_progress(file.frames / file.samplerate)
            resample = _resampler(file.samplerate)
            frames, left = int(_BLOCK_S * file.samplerate), file.frames
            while left > 0:
                samples = file.read(min(frames, left), dtype="float32", always_2d=True)
                if len(samples) == 0:
                    raise CorruptAudio(f"The recording breaks off {left} samples before its end.")
                left -= len(samples)
                yield resample(_mono(samples, limits), left == 0)
    except soundfile.LibsndfileError as error:
        raise CorruptAudio(f"The {container.name} file is damaged or of a rare kind: {error}") from error


def _read_ffmpeg(
    container: Container, data: bytes, limits: AudioLimits, on_progress: ProgressCallback
) -> Iterator[Block]:
    """Decode with the ffmpeg inside PyAV, by a demuxer of our choice: it opens no other file."""
    if container in (Container.MP3, Container.ADTS):
        data = without_tags(data)
    options = {"protocol_whitelist": "", "format_whitelist": container.value}
    try:
        with av.open(
            io.BytesIO(data), format=container.value, container_options=options, metadata_errors="ignore"
        ) as file:
            if not file.streams.audio:
                raise UnsupportedAudio("There is no audio in the file.")
            # Without a header that says it, ffmpeg takes the rest to be like the first frames, silent or not.
            if file.duration is not None and container not in (Container.MP3, Container.ADTS):
                _check_duration(file.duration / av.time_base, limits)
            yield from _resampled(_frames(file), limits, on_progress)
    except av.error.DecoderNotFoundError as error:
        raise UnsupportedAudio(f"The codec in the {container.name} file is not read: {error}") from error
    except (av.error.FFmpegError, ValueError) as error:
        raise CorruptAudio(f"The {container.name} recording is damaged: {error}") from error


def _frames(file: av.container.InputContainer) -> Iterator[av.AudioFrame]:
    """Yield the frames of the first audio stream as float32, planar or packed."""
    stream = file.streams.audio[0]
    to_packed = av.AudioResampler(format="flt")
    for packet in file.demux(stream):
        for frame in packet.decode():
            if frame.format.name == "fltp" and frame.layout.nb_channels <= NULL_TERMINATED_PLANES:
                yield frame
            else:
                yield from to_packed.resample(frame)


def _samples(frame: av.AudioFrame) -> npt.NDArray[np.float32]:
    """Return the samples of a frame of `_frames`, shape (samples, channels)."""
    samples: npt.NDArray[np.float32] = frame.to_ndarray()
    return samples.T if frame.format.is_planar else samples.reshape(-1, frame.layout.nb_channels)


def _resampled(
    frames: Iterator[av.AudioFrame], limits: AudioLimits, on_progress: ProgressCallback
) -> Iterator[Block]:
    """Gather small frames into blocks and bring them to 16 kHz mono."""
    rate, seconds, waiting = 0, 0.0, list[Block]()
    waiting_s = 0.0
    resample: Callable[[Block, bool], Block] | None = None
    for frame in frames:
        if resample is None:
            rate = frame.sample_rate
            _check_stream(frame.layout.nb_channels, rate, limits)
            resample = _resampler(rate)
        if frame.sample_rate != rate:
            raise CorruptAudio(f"The sample rate changes from {rate} to {frame.sample_rate} Hz on the way.")
        waiting.append(_mono(_samples(frame), limits))
        seconds += frame.samples / rate
        waiting_s += frame.samples / rate
        _check_duration(seconds, limits)
        if waiting_s >= _BLOCK_S:
            on_progress(seconds)
            yield resample(np.concatenate(waiting), False)
            waiting, waiting_s = [], 0.0
    if resample is not None:
        on_progress(seconds)
        yield resample(np.concatenate([*waiting, np.empty(0, np.float32)]), True)


def _resampler(rate: int) -> Callable[[Block, bool], Block]:
    """A function from (block, is it the last?) to the block at 16 kHz."""
    if rate == SAMPLE_RATE_HZ:
        return lambda block, _: block
    stream = soxr.ResampleStream(rate, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
    return lambda block, last: stream.resample_chunk(block, last=last)


def _mono(samples: npt.NDArray[np.float32], limits: AudioLimits) -> Block:
    """Average the channels of samples of shape (samples, channels).

    Raises:
        NonFiniteAudio: NaN or infinite samples.
        UnsupportedAudio: Beyond `AudioLimits.max_level`.
    """
    is_mono = (
        samples.shape[1] == 1
    )  # The mean of one channel, without the arithmetic: a third of decoding a WAV.
    block: Block = samples[:, 0] if is_mono else samples.mean(axis=1, dtype=np.float32)
    check_level(block, limits)
    return block


def _check_stream(channels: int, rate: int, limits: AudioLimits) -> None:
    if not 1 <= channels <= limits.max_channels:
        raise UnsupportedAudio(f"{channels} channels; at most {limits.max_channels} are taken.")
    if not limits.min_sample_rate_hz <= rate <= limits.max_sample_rate_hz:
        raise UnsupportedAudio(
            f"{rate} Hz; {limits.min_sample_rate_hz} to {limits.max_sample_rate_hz} Hz are taken."
        )


def _check_duration(seconds: float, limits: AudioLimits) -> None:
    if seconds > limits.max_audio_s:
        raise AudioTooLong(f"More than {limits.max_audio_s:g} s of audio, the longest that is taken.")
