"""Recordings of known content in every supported container."""

import io

import av
import numpy as np
import numpy.typing as npt
import soundfile

LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""FFmpeg's channel layout by number of channels; layouts with more channels have no name."""
SUBTYPES = ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAW", "ULAW"]


def tone(
    seconds: float = 3.0, rate: int = 16_000, channels: int = 1, hz: float = 440.0
) -> npt.NDArray[np.float32]:
    """Return a sine of amplitude 0.3: float32, (samples, channels)."""
    time = np.arange(int(seconds * rate)) / rate
    return np.repeat(0.3 * np.sin(2 * np.pi * hz * time)[:, None], channels, axis=1).astype(np.float32)


def noise(samples: int, seed: int) -> npt.NDArray[np.float32]:
    """Return white noise that swells and fades, another one for each seed: float32, (samples,)."""
    generator = np.random.default_rng(seed)
    envelope = 0.1 + np.abs(np.sin(np.arange(samples) / 2_500 + seed))
    return (0.1 * envelope * generator.normal(size=samples)).astype(np.float32)


def soundfile_bytes(
    samples: npt.NDArray[np.float32], rate: int, kind: str, subtype: str | None = None
) -> bytes:
    """Encode with libsndfile."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


def ffmpeg_bytes(samples: npt.NDArray[np.float32], rate: int, container: str, codec: str) -> bytes:
    """Encode with FFmpeg."""
    channels = samples.shape[1]
    layout = LAYOUTS.get(channels, f"{channels} channels")
    if codec == "libopus" and channels == 4:
        layout = "quad"
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, layout=layout)
        # Packed, because PyAV cannot create planar frames of eight channels or more (`pipelines.audio`).
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate = rate
        context = stream.codec_context
        resampler = av.AudioResampler(
            context.format.name, layout, rate, frame_size=context.frame_size or 1024
        )
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    return buffer.getvalue()


def remux(data: bytes, container: str) -> bytes:
    """Copy the packets into another container."""
    buffer = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(buffer, "w", format=container) as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return buffer.getvalue()


def formats() -> dict[str, bytes]:
    """Encode 3 s of a 440 Hz tone of amplitude 0.3 in every format, at common rates and channel counts."""
    wav = {
        f"WAV {subtype}": soundfile_bytes(tone(rate=22_050, channels=2), 22_050, "WAV", subtype)
        for subtype in SUBTYPES
    }
    vorbis = soundfile_bytes(tone(rate=44_100, channels=2), 44_100, "OGG", "VORBIS")
    return wav | {
        "WAV 6 channels": soundfile_bytes(tone(rate=48_000, channels=6), 48_000, "WAVEX", "PCM_16"),
        "WAV 8 kHz": soundfile_bytes(tone(rate=8_000), 8_000, "WAV", "PCM_16"),
        "WAV 192 kHz": soundfile_bytes(tone(rate=192_000), 192_000, "WAV", "PCM_24"),
        "RF64": soundfile_bytes(tone(), 16_000, "RF64", "PCM_16"),
        "W64": soundfile_bytes(tone(), 16_000, "W64", "PCM_16"),
        "AIFF": soundfile_bytes(tone(rate=44_100), 44_100, "AIFF", "PCM_16"),
        "FLAC": soundfile_bytes(tone(rate=44_100, channels=2), 44_100, "FLAC"),
        "FLAC behind an ID3 tag": b"ID3\x04\0\0\0\0\0\x05hello" + soundfile_bytes(tone(), 16_000, "FLAC"),
        "MP3": ffmpeg_bytes(tone(rate=44_100, channels=2), 44_100, "mp3", "libmp3lame"),
        "MP3 by libsndfile": soundfile_bytes(tone(rate=44_100), 44_100, "MP3"),
        "MP3 22 kHz": ffmpeg_bytes(tone(rate=22_050), 22_050, "mp3", "libmp3lame"),
        "MP3 with an ID3v1 tag": soundfile_bytes(tone(rate=44_100), 44_100, "MP3") + b"TAG" + bytes(125),
        "OGG Vorbis": vorbis,
        "OGG Opus": ffmpeg_bytes(tone(rate=48_000), 48_000, "ogg", "libopus"),
        "M4A": ffmpeg_bytes(tone(rate=44_100, channels=2), 44_100, "mp4", "aac"),
        "MOV 5.1": ffmpeg_bytes(tone(rate=48_000, channels=6), 48_000, "mov", "aac"),
        "AAC": ffmpeg_bytes(tone(rate=44_100), 44_100, "adts", "aac"),
        "WebM Opus": ffmpeg_bytes(tone(rate=48_000, channels=2), 48_000, "webm", "libopus"),
        "WebM Vorbis": remux(vorbis, "webm"),
    }
