"""Damage: a bad frame is silence in its place, much of it is a refusal, and no rest is left out unsaid."""

import muxed
import numpy as np
import pytest

from config.settings import AudioLimits
from pipelines.audio.decoding import decode, decode_recording
from voxgraph.errors import CorruptAudio, UnsupportedAudio

LIMITS = AudioLimits()
TOLERANCE_S = 0.03
SPANS, SECONDS = ((0.5, 1.0), (18.0, 18.5)), 20.0
ONSETS = (0.5, 18.0)


def overwritten(data: bytes, position: int, size: int) -> bytes:
    junk = np.random.default_rng(0).integers(0, 255, size, dtype=np.uint8).tobytes()
    return data[:position] + junk + data[position + size :]


def noisy(rate: int) -> np.ndarray:
    """Bursts over noise, which takes as many bytes everywhere."""
    samples = muxed.bursts(rate, SPANS, SECONDS)
    return samples + np.random.default_rng(0).normal(0, 0.02, len(samples)).astype(np.float32)


FILES = {
    "MP3": lambda: muxed.mux("mp3", "libmp3lame", 44_100, noisy(44_100)),
    "AAC": lambda: muxed.mux("adts", "aac", 44_100, noisy(44_100)),
    "AC-3": lambda: muxed.mux("ac3", "ac3", 48_000, noisy(48_000)),
    "FLAC": lambda: muxed.mux("flac", "flac", 44_100, noisy(44_100)),
    "M4A": lambda: muxed.mux("mp4", "aac", 44_100, noisy(44_100)),
}


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_frame_keeps_its_time(name: str) -> None:
    whole = FILES[name]()
    position = whole.index(b"mdat") if name == "M4A" else 0
    data = overwritten(whole, position + (len(whole) - position) // 2, 400)

    found = decode_recording(data, LIMITS)

    assert len(found.waveform) == pytest.approx(len(decode(whole, LIMITS)), abs=16_000 * TOLERANCE_S)
    onsets = muxed.onsets(found.waveform)
    assert np.allclose([onsets[0], onsets[-1]], ONSETS, atol=TOLERANCE_S), onsets
    assert 0 < found.quality.damaged_s < 0.5


@pytest.mark.parametrize("name", FILES)
def test_much_damage_is_a_refusal(name: str) -> None:
    whole = FILES[name]()
    position = whole.index(b"mdat") + 8 if name == "M4A" else 2_000
    data = overwritten(whole, position + len(whole) // 4, len(whole) // 2)

    with pytest.raises(CorruptAudio):
        decode(data, LIMITS)


def test_the_share_of_damage_is_a_setting() -> None:
    whole = FILES["MP3"]()
    data = overwritten(whole, len(whole) // 2, 3_000)

    assert len(decode(data, LIMITS)) > 0
    with pytest.raises(CorruptAudio, match="are damaged"):
        decode(data, AudioLimits(max_damaged_share=0.001))


def test_an_amr_that_is_damaged_midway_is_refused() -> None:
    whole = muxed.mux("amr", "amr_nb", 8_000)

    with pytest.raises(CorruptAudio, match="are no frames"):
        decode(overwritten(whole, len(whole) // 2, 100), LIMITS)


def test_a_webm_of_which_the_demuxer_loses_the_rest_is_refused() -> None:
    whole = muxed.mux("webm", "libopus", 48_000)

    with pytest.raises(CorruptAudio, match="cannot be read"):
        decode(overwritten(whole, int(0.45 * len(whole)), 400), LIMITS)


def test_an_mp3_in_wav_may_promise_more_samples_than_it_has() -> None:
    data = bytearray(muxed.mux("wav", "libmp3lame", 44_100))
    position = data.index(b"fact") + 8
    data[position : position + 4] = (10_000_000).to_bytes(4, "little")

    assert len(decode(bytes(data), LIMITS)) == pytest.approx(16_000 * muxed.SECONDS, abs=1_000)


def test_amr_wb_is_read() -> None:
    second_without_data = b"#!AMR-WB\n" + b"\x7c" * 50

    assert len(decode(second_without_data, LIMITS)) == 16_000


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (muxed.mux("webm", "libopus", 48_000).replace(b"A_OPUS", b"A_XXXX"), "codec A_XXXX in the Matroska"),
        (muxed.mux("mp4", "alac", 44_100).replace(b"alac", b"zzzz"), "codec zzzz in the MP4"),
        (b"NIST_1A\n   1024\nsample_coding -s26 pcm,embedded-shorten-v2.00\n".ljust(5_000), "NIST SPHERE"),
    ],
)
def test_a_refusal_names_codec_and_container_and_no_object(data: bytes, message: str) -> None:
    with pytest.raises((UnsupportedAudio, CorruptAudio), match=message) as caught:
        decode(data, LIMITS)

    assert "object at 0x" not in caught.value.detail


def test_a_track_that_cannot_be_decoded_gives_way_to_the_next() -> None:
    import io

    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as file:
        streams = [file.add_stream(codec, rate=44_100, layout="mono") for codec in ("alac", "aac")]
        for stream, amplitude in zip(streams, (0.0, 1.0), strict=True):
            samples = amplitude * muxed.bursts(44_100)
            source = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout="mono")
            source.sample_rate = 44_100
            context = stream.codec_context
            sized = av.AudioResampler(
                context.format.name, "mono", 44_100, frame_size=context.frame_size or 1024
            )
            for frame in [*sized.resample(source), *sized.resample(None)]:
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    data = buffer.getvalue()

    assert len(muxed.onsets(decode(data, LIMITS))) == 0
    undecodable = data.replace(b"alac", b"apac")
    assert np.allclose(muxed.onsets(decode(undecodable, LIMITS)), muxed.ONSETS, atol=TOLERANCE_S)
