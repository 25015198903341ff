"""Decode recordings of any container, codec, sample rate and channel count to 16 kHz mono, in memory.

This is the only module that decodes. It takes the bytes of an upload; everything after it uses `Waveform`.
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
from voxgraph.errors import AudioTooLong, AudioTooShort, CorruptAudio, EmptyAudio, UnsupportedAudio
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

Block = npt.NDArray[np.float32]
"""Consecutive samples of one channel, shape (samples,)."""

ProgressCallback = Callable[[float], None]
"""A function that takes the seconds of audio that a recording has, or has so far."""

QUICK_BYTES = 1 << 19
"""Maximum size in bytes of a recording that `is_quick`."""
MAX_SAFE_PLANES = 7
"""Maximum channels of a planar frame that `av.AudioFrame.to_ndarray` reads safely.

PyAV 18.1.0, the newest, counts the planes of a frame up to a null pointer. FFmpeg's array has eight entries,
so a frame of eight channels has no null pointer: PyAV reads past the array and the process crashes. This
workaround can go once PyAV takes the number of planes from the channel layout.
"""
UNKNOWN_FRAMES = 1 << 62
"""libsndfile's frame count for a FLAC without a total (written to a pipe), which it cannot decode."""
_BLOCK_S = 4.0
"""Seconds of audio that are resampled at once."""
_SOUNDFILE = {Container.WAV, Container.W64, Container.AIFF, Container.FLAC}
"""Containers that libsndfile decodes faster than PyAV."""


def decode(data: bytes, limits: AudioLimits, on_progress: ProgressCallback = lambda _: None) -> Waveform:
    """Decode a recording.

    Reads WAV (PCM of 8 to 32 bits, float, A-law, mu-law), AIFF, FLAC, MP3, AAC, M4A and other MP4, OGG and
    WebM (Vorbis, Opus), detected by their content. Averages the channels and keeps the level, even of float
    samples beyond full scale. Decodes in blocks, so it needs memory for the result and a few more seconds.

    Args:
        data: The content of the file.
        limits: A recording beyond any of these limits is refused.
        on_progress: Called before each block of a few seconds is stored, with the seconds of audio that the
            recording has, or has so far; an exception that it raises stops the decoding.

    Returns:
        Float32, shape (samples,), mono, 16 kHz, finite.

    Raises:
        EmptyAudio: No bytes or no samples.
        UnsupportedAudio: No supported container or codec, no audio stream, too many channels, or a sample
            rate or level out of range.
        CorruptAudio: Truncated or damaged; see `pipelines.audio.containers.check_whole`.
        AudioTooShort: Shorter than `AudioLimits.min_audio_s`.
        AudioTooLong: Longer than `AudioLimits.max_audio_s`.
        NonFiniteAudio: NaN or infinite samples.
    """
    if not data:
        raise EmptyAudio("The recording is empty: 0 bytes.")
    container = sniff(data)
    if container is None:
        raise UnsupportedAudio(
            "This is not a recording in a supported container: WAV, AIFF, FLAC, MP3, AAC, M4A, OGG or WebM."
        )
    check_whole(container, data)
    reader = _read_soundfile if container in _SOUNDFILE else _read_ffmpeg
    waveform = _concatenate(reader(container, data, limits, on_progress))
    if len(waveform) == 0:
        raise EmptyAudio("The recording has no samples.")
    seconds = len(waveform) / SAMPLE_RATE_HZ
    if seconds < limits.min_audio_s:
        raise AudioTooShort(f"{seconds:.3f} s of audio; at least {limits.min_audio_s:g} s are needed.")
    return waveform


def is_quick(data: bytes) -> bool:
    """Whether decoding takes less than a millisecond, so that a thread would cost more than it saves.

    True for a small WAV of 16-bit PCM at 16 kHz: ten seconds take 0.6 ms (1.4 ms in a thread), 512 KiB take
    0.9 ms. The data chunk must follow the format chunk directly: thousands of empty chunks between them take
    40 ms.
    """
    if not 44 <= len(data) <= QUICK_BYTES or data[:4] != b"RIFF":
        return False
    if data[12:16] != b"fmt " or data[36:40] != b"data":
        return False
    code, _, rate, _, _, bits = struct.unpack_from("<HHIIHH", data, 20)
    return bool((code, rate, bits) == (1, SAMPLE_RATE_HZ, 16))


def _concatenate(blocks: Iterable[Block]) -> Waveform:
    """Concatenate the blocks, releasing each once it is copied so that they are never in memory twice."""
    pending = list(blocks)[::-1]
    waveform = np.empty(sum(map(len, pending)), np.float32)
    position = 0
    while pending:
        block = pending.pop()
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
            if file.frames >= UNKNOWN_FRAMES:
                yield from _read_ffmpeg(container, data, limits, on_progress)
                return
            _check_duration(file.frames / file.samplerate, limits)
            on_progress(file.frames / file.samplerate)
            resample = _resampler(file.samplerate)
            frames, left = int(_BLOCK_S * file.samplerate), file.frames
            while left > 0:
                samples = file.read(min(frames, left), dtype="float32", always_2d=True)
                if len(samples) == 0:
                    raise CorruptAudio(f"The recording is truncated: its last {left} samples are missing.")
                left -= len(samples)
                yield resample(_mono(samples, limits), left == 0)
    except soundfile.LibsndfileError as error:
        raise CorruptAudio(f"The {container.name} file is damaged or unsupported: {error}") from error


def _read_ffmpeg(
    container: Container, data: bytes, limits: AudioLimits, on_progress: ProgressCallback
) -> Iterator[Block]:
    """Decode with PyAV's ffmpeg, restricted to one demuxer and no protocol so that it opens no other file."""
    if container in (Container.MP3, Container.ADTS):
        data = without_tags(data)
    options = {"protocol_whitelist": "", "format_whitelist": container.value}
    try:
        with av.open(
            io.BytesIO(data), format=container.value, container_options=options, metadata_errors="ignore"
        ) as file:
            if not file.streams.audio:
                raise UnsupportedAudio("The file has no audio stream.")
            # For MP3 and ADTS without a duration ffmpeg extrapolates from the first frames, silent or not.
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
            if frame.format.name == "fltp" and frame.layout.nb_channels <= MAX_SAFE_PLANES:
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
    """Collect small frames into blocks and resample them to 16 kHz mono."""
    rate, seconds, pending_s, pending = 0, 0.0, 0.0, list[Block]()
    resample: Callable[[Block, bool], Block] | None = None
    for frame in frames:
        if resample is None:
            rate = frame.sample_rate
            _check_stream(frame.layout.nb_channels, rate, limits)
            resample = _resampler(rate)
        if frame.sample_rate != rate:
            raise CorruptAudio(f"The sample rate changes from {rate} to {frame.sample_rate} Hz midway.")
        pending.append(_mono(_samples(frame), limits))
        seconds += frame.samples / rate
        pending_s += frame.samples / rate
        _check_duration(seconds, limits)
        if pending_s >= _BLOCK_S:
            on_progress(seconds)
            yield resample(np.concatenate(pending), False)
            pending, pending_s = [], 0.0
    if resample is not None:
        on_progress(seconds)
        yield resample(np.concatenate([*pending, np.empty(0, np.float32)]), True)


def _resampler(rate: int) -> Callable[[Block, bool], Block]:
    """Return a function that takes a block and whether it is the last, and returns it resampled to 16 kHz."""
    if rate == SAMPLE_RATE_HZ:
        return lambda block, _: block
    stream = soxr.ResampleStream(rate, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
    return lambda block, last: stream.resample_chunk(block, last=last)


def _mono(samples: npt.NDArray[np.float32], limits: AudioLimits) -> Block:
    """Average the channels of samples of shape (samples, channels) and check the level."""
    # The mean of one channel is that channel; computing it would take a third of the time of decoding a WAV.
    is_mono = samples.shape[1] == 1
    block: Block = samples[:, 0] if is_mono else samples.mean(axis=1, dtype=np.float32)
    check_level(block, limits)
    return block


def _check_stream(channels: int, rate: int, limits: AudioLimits) -> None:
    if not 1 <= channels <= limits.max_channels:
        raise UnsupportedAudio(f"{channels} channels; at most {limits.max_channels} are supported.")
    if not limits.min_sample_rate_hz <= rate <= limits.max_sample_rate_hz:
        raise UnsupportedAudio(
            f"{rate} Hz; {limits.min_sample_rate_hz} to {limits.max_sample_rate_hz} Hz are supported."
        )


def _check_duration(seconds: float, limits: AudioLimits) -> None:
    if seconds > limits.max_audio_s:
        raise AudioTooLong(f"The recording is longer than the maximum of {limits.max_audio_s:g} s.")
