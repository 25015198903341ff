"""Decoding: all formats, exact resampling, and typed errors for everything else."""

import io
import struct
import time
import tracemalloc
import wave

import clips
import librosa
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from launched import sample_path

from config.settings import AudioLimits
from pipelines.audio.decoding import QUICK_BYTES, decode, is_quick
from voxgraph.errors import (
    AudioTooLong,
    AudioTooShort,
    CorruptAudio,
    EmptyAudio,
    NonFiniteAudio,
    UnsupportedAudio,
    VoxError,
)
from voxgraph.results import SAMPLE_RATE_HZ

LIMITS = AudioLimits()
FORMATS = clips.formats()
LIST = b"LIST" + struct.pack("<I", 5) + b"INFO!\0"
"""A chunk with a padding byte."""
REFUSAL_LIMIT_S = 1.0


@pytest.mark.parametrize("name", FORMATS)
def test_a_tone_survives_decoding_from_every_format(name: str) -> None:
    waveform = decode(FORMATS[name], LIMITS)

    assert waveform.dtype == np.float32
    assert waveform.ndim == 1
    assert len(waveform) / SAMPLE_RATE_HZ == pytest.approx(3.0, abs=0.06)
    middle = waveform[SAMPLE_RATE_HZ : 2 * SAMPLE_RATE_HZ]
    spectrum = np.abs(np.fft.rfft(middle))
    assert abs(int(spectrum.argmax()) - 440) <= 1
    # Lossy codecs treat channels differently: 5.1 AAC low-passes one of the six.
    assert np.sqrt((middle**2).mean()) == pytest.approx(0.3 / np.sqrt(2), rel=0.2 if "5.1" in name else 0.07)


def test_the_sample_conversation_is_decoded_bit_for_bit() -> None:
    with wave.open(str(sample_path())) as file:
        expected = np.frombuffer(file.readframes(file.getnframes()), np.int16) / np.float32(32_768)

    assert np.array_equal(decode(sample_path().read_bytes(), LIMITS), expected)


@pytest.mark.parametrize(
    ("rate", "subtype", "seconds", "expected"),
    [
        (16_000, "PCM_16", 10.0, True),
        (16_000, "PCM_16", 16.5, False),
        (44_100, "PCM_16", 1.0, False),
        (16_000, "FLOAT", 1.0, False),
        (16_000, "ULAW", 1.0, False),
    ],
)
def test_only_a_small_wav_that_needs_no_resampling_is_quick(
    rate: int, subtype: str, seconds: float, expected: bool
) -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(round(rate * seconds), np.float32), rate, subtype, format="WAV")

    assert is_quick(buffer.getvalue()) == expected
    assert not any(is_quick(buffer.getvalue()[:length]) for length in range(44))


@pytest.mark.parametrize("is_before", [True, False])
def test_a_wav_with_many_chunks_is_not_quick(is_before: bool) -> None:
    data = wav(clips.tone(1.0), "PCM_16")
    position = data.index(b"data") if is_before else len(data)
    padded = data[:position] + b"JUNK\0\0\0\0" * 1_000 + data[position:]

    assert is_quick(data)
    assert not is_quick(padded)
    assert np.array_equal(decode(padded, LIMITS), decode(data, LIMITS))


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize(("before", "behind"), [(b"", b""), (LIST, b""), (b"", LIST), (LIST, LIST[:-1])])
def test_a_plain_wav_is_read_as_libsndfile_reads_it(channels: int, before: bytes, behind: bytes) -> None:
    samples = np.random.default_rng(channels).uniform(-1, 1, (70_001, channels)).astype(np.float32)
    plain = wav(samples, "PCM_16")
    position = plain.index(b"data")
    data = plain[:position] + before + plain[position:] + behind

    expected, _ = soundfile.read(io.BytesIO(plain), dtype="float32", always_2d=True)

    assert is_quick(data) is (len(data) <= QUICK_BYTES)
    assert np.array_equal(decode(data, LIMITS), expected.mean(axis=1, dtype=np.float32))


def test_what_is_unusual_in_a_wav_is_left_to_libsndfile() -> None:
    data = wav(clips.tone(1.0), "PCM_16")
    position = data.index(b"data")
    unusual = {
        "another file behind": data + data,
        "half a frame": data[:-1],
        "no samples": data[:position],
        "samples before the format": data[:12] + data[position:] + data[12:position],
        "two formats": data[:position] + data[12:position] + data[position:],
        "no channels": data[:22] + bytes(2) + data[24:],
        "a format that is cut off": data[:16] + bytes(4) + data[20:],
    }

    assert [name for name, changed in unusual.items() if is_quick(changed)] == []


def test_a_quick_recording_decodes_within_20_ms() -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(QUICK_BYTES, np.float32)[: QUICK_BYTES // 2 - 50], 16_000, format="WAV")
    data = buffer.getvalue()
    assert is_quick(data)
    started = time.thread_time()

    for _ in range(20):
        decode(data, LIMITS)

    assert (time.thread_time() - started) / 20 < 0.02


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_resampling_in_blocks_equals_resampling_at_once(rate: int) -> None:
    samples = np.random.default_rng(rate).uniform(-0.5, 0.5, (9 * rate + 123, 2)).astype(np.float32)
    expected = librosa.resample(
        samples.mean(axis=1), orig_sr=rate, target_sr=SAMPLE_RATE_HZ, res_type="soxr_hq"
    )

    waveform = decode(clips.soundfile_bytes(samples, rate, "WAV", "FLOAT"), LIMITS)

    assert abs(len(waveform) - len(expected)) <= 1
    shared = min(len(waveform), len(expected))
    np.testing.assert_allclose(waveform[:shared], expected[:shared], atol=2e-5)


def test_samples_beyond_full_scale_are_kept() -> None:
    assert decode(clips.soundfile_bytes(10 * clips.tone(), 16_000, "WAV", "FLOAT"), LIMITS).max() > 2.9


def wav(samples: np.ndarray, subtype: str = "FLOAT", rate: int = 16_000) -> bytes:
    return clips.soundfile_bytes(samples, rate, "WAV", subtype)


def spoilt(value: float, subtype: str = "FLOAT") -> bytes:
    samples = clips.tone(1.0).astype(np.float64)
    samples[5_000] = value
    return wav(samples, subtype)


def without_sample_count(flac: bytes) -> bytes:
    """Return a FLAC as written to a pipe: its header states 0 samples, which means an unknown number."""
    header = bytearray(flac[:42])
    header[21] &= 0xF0
    header[22:26] = bytes(4)
    return bytes(header) + flac[42:]


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("seconds", [3.0, 9.7])
def test_a_flac_without_a_sample_count_is_decoded_completely(rate: int, seconds: float) -> None:
    whole = clips.soundfile_bytes(clips.tone(seconds, rate=rate), rate, "FLAC")

    assert np.array_equal(decode(without_sample_count(whole), LIMITS), decode(whole, LIMITS))
    with pytest.raises(AudioTooLong):
        decode(without_sample_count(whole), AudioLimits(max_audio_s=seconds - 0.1))


@pytest.mark.parametrize(("container", "codec"), [("adts", "aac"), ("mp3", "libmp3lame")])
def test_a_quiet_start_does_not_make_a_recording_too_long(container: str, codec: str) -> None:
    samples = clips.tone(20.0, rate=44_100)
    samples[: 5 * 44_100] = 0.0
    samples += np.random.default_rng(0).normal(0, 0.2, samples.shape).astype(np.float32) * (samples != 0)
    data = clips.ffmpeg_bytes(samples, 44_100, container, codec)

    assert len(decode(data, AudioLimits(max_audio_s=21))) == pytest.approx(320_000, abs=2_000)


def with_codec(matroska: bytes, name: bytes) -> bytes:
    """Replace the codec's name by one that is not longer."""
    (codec,) = (known for known in (b"A_OPUS", b"A_VORBIS") if known in matroska)
    return matroska.replace(codec, name.ljust(len(codec), b"\0"))


def with_sizes(data: bytes, size: int) -> bytes:
    """Replace the sizes in the header of a WAV."""
    changed, position = bytearray(data), data.index(b"data")
    changed[4:8] = changed[position + 4 : position + 8] = struct.pack("<I", size)
    return bytes(changed)


REFUSED: dict[str, tuple[bytes, type[VoxError]]] = {
    "no bytes": (b"", EmptyAudio),
    "no samples": (wav(clips.tone(0)), EmptyAudio),
    "text": (b"This is no recording.\n" * 100, UnsupportedAudio),
    "PNG": (b"\x89PNG\r\n\x1a\n" + bytes(1000), UnsupportedAudio),
    "PDF": (b"%PDF-1.7\n" + bytes(1000), UnsupportedAudio),
    "playlist": (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", UnsupportedAudio),
    "60 channels": (wav(clips.tone(1.0, channels=60)), UnsupportedAudio),
    "absurd rate": (wav(clips.tone(1.0), rate=900_000), UnsupportedAudio),
    "10 ms": (wav(clips.tone(0.01)), AudioTooShort),
    "NaN": (spoilt(np.nan), NonFiniteAudio),
    "infinity": (spoilt(-np.inf), NonFiniteAudio),
    "beyond float32": (spoilt(1e300, "DOUBLE"), NonFiniteAudio),
    "samples whose squares are infinite": (spoilt(1e20), UnsupportedAudio),
    "nearly infinite samples to resample": (wav(np.full((44_100, 1), 3.3e38), rate=44_100), UnsupportedAudio),
    "unsupported codec": (with_codec(FORMATS["WebM Opus"], b"A_XXX"), UnsupportedAudio),
    "header claims 4 GB": (with_sizes(wav(clips.tone(0.5), "PCM_16"), 0xFFFF_FFF0), CorruptAudio),
    "WAV without data": (wav(clips.tone(1.0))[:40], CorruptAudio),
    "RIFF alone": (b"RIFF\0\0\0\0WAVE", CorruptAudio),
    "FLAC magic alone": (b"fLaC", CorruptAudio),
    "OGG magic alone": (b"OggS", CorruptAudio),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_quickly_with_its_own_error(name: str) -> None:
    data, error = REFUSED[name]
    started = time.monotonic()

    with pytest.raises(error) as caught:
        decode(data, LIMITS)

    assert type(caught.value) is error
    assert time.monotonic() - started < REFUSAL_LIMIT_S


@pytest.mark.parametrize("share", [0.35, 0.62, 0.97])
@pytest.mark.parametrize(
    "name", [name for name in FORMATS if not name.startswith("W64") and "ID3v1" not in name]
)
def test_a_truncated_recording_is_corrupt(name: str, share: float) -> None:
    whole = FORMATS[name]

    with pytest.raises((CorruptAudio, EmptyAudio)):
        decode(whole[: int(share * len(whole)) | 1], LIMITS)


@pytest.mark.parametrize("kind", ["FLAC", "WAV", "OGG"])
def test_a_decompression_bomb_is_refused_before_it_fills_the_memory(kind: str) -> None:
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", 8_000, 1, format=kind) as file:
        for _ in range(20):
            file.write(np.zeros(60 * 8_000, np.int16))
    data = buffer.getvalue()
    tracemalloc.start()

    with pytest.raises(AudioTooLong):
        decode(data, AudioLimits(max_audio_s=60))

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30e6


def test_a_video_without_sound_is_unsupported() -> None:
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as file:
        stream = file.add_stream("mpeg4", rate=24)
        stream.width = stream.height = 64
        file.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        file.mux(stream.encode(None))

    with pytest.raises(UnsupportedAudio, match="no audio"):
        decode(buffer.getvalue(), LIMITS)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(FORMATS)), st.data())
def test_a_damaged_recording_decodes_or_raises_a_typed_error(name: str, data: st.DataObject) -> None:
    content = bytearray(FORMATS[name])
    for _ in range(data.draw(st.integers(1, 8))):
        position = data.draw(st.integers(0, min(len(content) - 1, 4_000)))
        content[position] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(1, len(content)))

    try:
        waveform = decode(bytes(content[:end]), AudioLimits(max_audio_s=30))
    except VoxError:
        return
    assert waveform.ndim == 1
    assert np.isfinite(waveform).all()


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=2_000),
    st.sampled_from([b"", b"RIFF\0\0\0\0WAVE", b"OggS", b"\x1aE\xdf\xa3", b"\0\0\0\x18ftyp"]),
)
def test_random_bytes_raise_a_typed_error(content: bytes, start: bytes) -> None:
    with pytest.raises(VoxError):
        decode(start + content, LIMITS)
