"""Every container and codec: time is the file's, and all of the file is read or refused in true words."""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

import muxed
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.settings import AudioLimits
from pipelines.audio import sound_file
from pipelines.audio.decoding import decode, decode_recording
from pipelines.audio.parts import split
from voxgraph.errors import CorruptAudio, VoxError

LIMITS = AudioLimits()
TOLERANCE_S = 0.02
LATE_S, GAP_AT_S, GAP_S = 1.7, 1.5, 1.25


@dataclass(frozen=True)
class Kind:
    """How a file of a container and codec is made, and what it can express."""

    make: Callable[..., bytes]
    has_clock: bool = True
    """Whether the container keeps timestamps; without them there is no late start and no gap."""
    delay_s: float = 0.0
    """Delay of encoder and decoder that the container does not state."""
    unfinished: Callable[[bytes], bytes] | str | None = None
    """A file whose header was never finished: a change of the whole file, the refusal of one, or None: the
    container has nothing to finish."""
    gap: bool = field(default=True)
    """Whether the muxer keeps a gap; that of PCM in MP4 does not."""


def muxed_as(container: str, codec: str, rate: int, **given: object) -> Kind:
    def make(**options: object) -> bytes:
        return muxed.mux(container, codec, rate, **options)

    return Kind(make, **given)


def written_as(kind: str, subtype: str, rate: int = 16_000, **given: object) -> Kind:
    return Kind(lambda: muxed.by_sound_file(kind, subtype, rate), has_clock=False, **given)


def put(layout: str, where: int | bytes, *values: int) -> Callable[[bytes], bytes]:
    """Return a change of a file: values at a position, or behind a mark."""

    def change(data: bytes) -> bytes:
        changed = bytearray(data)
        position = where if isinstance(where, int) else data.index(where) + len(where)
        struct.pack_into(layout, changed, position, *values)
        return bytes(changed)

    return change


def both(first: Callable[[bytes], bytes], second: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda data: second(first(data))


def unfinished_wav(size: int) -> Callable[[bytes], bytes]:
    return both(put("<I", 4, size), put("<I", b"data", size))


def without_total(flac: bytes) -> bytes:
    """Return a FLAC whose header states 0 samples, which means an unknown number."""
    position = flac.index(b"fLaC")
    changed = bytearray(flac)
    changed[position + 21] &= 0xF0
    changed[position + 22 : position + 26] = bytes(4)
    return bytes(changed)


NO_MOOV = "never finished: it has no moov"
KINDS: dict[str, Kind] = {
    "WAV PCM": written_as("WAV", "PCM_16", unfinished=unfinished_wav(0)),
    "WAV mu-law": written_as("WAV", "ULAW", 8_000, unfinished=unfinished_wav(0xFFFF_FFFF)),
    "WAV ADPCM": muxed_as("wav", "adpcm_ms", 44_100, has_clock=False, unfinished=unfinished_wav(0x7FFF_F000)),
    "WAV MP3": muxed_as(
        "wav", "libmp3lame", 44_100, has_clock=False, delay_s=0.025, unfinished=unfinished_wav(0xFFFF_FFFF)
    ),
    "WAV AC-3": muxed_as("wav", "ac3", 48_000, has_clock=False, unfinished=unfinished_wav(0xFFFF_FFFF)),
    "RF64": written_as("RF64", "PCM_16", unfinished=put("<Q", 28, 0xFFFF_FFFF_FFFF_FFFF)),
    "Wave64": written_as("W64", "PCM_16", unfinished=put("<Q", 16, 0)),
    "AIFF": muxed_as("aiff", "pcm_s16be", 44_100, has_clock=False, unfinished="it states no size"),
    "AU": written_as("AU", "PCM_16", unfinished=put(">I", 8, 0xFFFF_FFFF)),
    "NIST SPHERE": written_as("NIST", "PCM_16"),
    "CAF PCM": muxed_as("caf", "pcm_s16le", 44_100, has_clock=False, unfinished=put(">q", b"data", -1)),
    "CAF ALAC": muxed_as("caf", "alac", 44_100, has_clock=False),
    "FLAC": muxed_as("flac", "flac", 44_100, has_clock=False, unfinished=without_total),
    "MP3": muxed_as("mp3", "libmp3lame", 44_100, has_clock=False),
    "MP3 without a Xing header": Kind(
        lambda: muxed.mux("mp3", "libmp3lame", 44_100, write_xing="0"), has_clock=False, delay_s=0.025
    ),
    "AAC": muxed_as("adts", "aac", 44_100, has_clock=False, delay_s=0.023),
    "AC-3": muxed_as("ac3", "ac3", 48_000, has_clock=False),
    "E-AC-3": muxed_as("eac3", "eac3", 48_000, has_clock=False),
    "AMR-NB": muxed_as("amr", "amr_nb", 8_000, has_clock=False, delay_s=0.01),
    "Ogg Opus": muxed_as("ogg", "libopus", 48_000),
    "Ogg Vorbis": written_as("OGG", "VORBIS", 44_100),
    "Ogg FLAC": muxed_as("ogg", "flac", 44_100, has_clock=False),
    "MP4 AAC": muxed_as("mp4", "aac", 44_100, unfinished=NO_MOOV),
    "MP4 ALAC": muxed_as("mp4", "alac", 44_100, unfinished=NO_MOOV),
    "MP4 Opus": muxed_as("mp4", "libopus", 48_000, unfinished=NO_MOOV),
    "MP4 MP3": muxed_as("mp4", "libmp3lame", 44_100, unfinished=NO_MOOV),
    "MP4 AC-3": muxed_as("mp4", "ac3", 48_000, unfinished=NO_MOOV),
    "MP4 FLAC": muxed_as("mp4", "flac", 44_100, unfinished=NO_MOOV),
    "QuickTime PCM": muxed_as("mov", "pcm_s16le", 16_000, gap=False, unfinished=NO_MOOV),
    "3GP AMR-NB": muxed_as("3gp", "amr_nb", 8_000, unfinished=NO_MOOV),
    "WebM Opus": muxed_as("webm", "libopus", 48_000, unfinished=lambda _: _live("webm", "libopus", 48_000)),
    "Matroska AAC": muxed_as(
        "matroska", "aac", 44_100, unfinished=lambda _: _live("matroska", "aac", 44_100)
    ),
    "Matroska MP3": muxed_as("matroska", "libmp3lame", 44_100),
    "Matroska PCM": muxed_as("matroska", "pcm_s16le", 16_000),
    "Matroska FLAC": muxed_as("matroska", "flac", 48_000),
    "Matroska AC-3": muxed_as("matroska", "ac3", 48_000),
    # The muxer moves the start of the encoder's delay to time 0, but not that of a late start.
    "ASF WMA": muxed_as("asf", "wmav2", 44_100, has_clock=False, delay_s=0.046),
}


def _live(container: str, codec: str, rate: int) -> bytes:
    return muxed.mux(container, codec, rate, live="1")


def check(data: bytes, expected: tuple[float, ...], kind: Kind) -> None:
    found = muxed.onsets(decode(data, LIMITS))

    assert len(found) == len(expected), found
    assert np.allclose(found, np.array(expected) + kind.delay_s, atol=TOLERANCE_S), found


@pytest.fixture(scope="module")
def whole() -> Callable[[str], bytes]:
    made: dict[str, bytes] = {}

    def make(name: str) -> bytes:
        if name not in made:
            made[name] = KINDS[name].make()
        return made[name]

    return make


def shifted(by_s: float) -> tuple[float, ...]:
    return tuple(onset + by_s for onset in muxed.ONSETS)


@pytest.mark.parametrize("name", KINDS)
def test_a_plain_file_has_its_onsets(name: str, whole: Callable[[str], bytes]) -> None:
    check(whole(name), muxed.ONSETS, KINDS[name])


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.has_clock])
def test_a_late_start_is_silence(name: str) -> None:
    check(KINDS[name].make(late_s=LATE_S), shifted(LATE_S), KINDS[name])


def test_wma_has_a_clock() -> None:
    late = muxed.mux("asf", "wmav2", 44_100, late_s=LATE_S)
    gap = muxed.mux("asf", "wmav2", 44_100, gaps=[(GAP_AT_S, GAP_S)])

    assert np.allclose(muxed.onsets(decode(late, LIMITS)), shifted(LATE_S), atol=TOLERANCE_S)
    assert np.diff(muxed.onsets(decode(gap, LIMITS))) == pytest.approx(1.5 + GAP_S, abs=TOLERANCE_S)


@pytest.mark.parametrize("name", ["MP4 AAC", "QuickTime PCM", "Matroska AAC", "Matroska FLAC"])
def test_a_late_sound_of_a_video_is_as_late_as_in_a_player(name: str) -> None:
    check(KINDS[name].make(late_s=LATE_S, with_video=True), shifted(LATE_S), KINDS[name])


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.has_clock and kind.gap])
def test_a_gap_between_packets_is_silence(name: str) -> None:
    data = KINDS[name].make(gaps=[(GAP_AT_S, GAP_S)])

    check(data, (muxed.ONSETS[0], muxed.ONSETS[1] + GAP_S), KINDS[name])
    assert decode_recording(data, LIMITS).quality.missing_s == pytest.approx(GAP_S, abs=TOLERANCE_S)


ADDITIONS: dict[str, tuple[bytes, bytes]] = {
    "an ID3v1 tag behind": (b"", b"TAG" + bytes(125)),
    "zeros behind": (b"", bytes(5_000)),
    "a line end behind": (b"", b"\r\n"),
    "two ID3v2 tags before": (muxed.id3(300) + muxed.id3(40_000, 4), b""),
    "a tag and padding that it does not count before": (muxed.id3(10) + bytes(5_000), b""),
    "an APE tag behind": (
        b"",
        b"APETAGEX" + struct.pack("<IIII", 2000, 32, 0, 0xA000_0000) + bytes(8)
        + b"APETAGEX" + struct.pack("<IIII", 2000, 32, 0, 0x8000_0000) + bytes(8),
    ),
}  # fmt: skip


@pytest.mark.parametrize("addition", ADDITIONS)
@pytest.mark.parametrize("name", KINDS)
def test_tags_and_padding_change_nothing(name: str, addition: str, whole: Callable[[str], bytes]) -> None:
    before, behind = ADDITIONS[addition]

    found = decode(before + whole(name) + behind, LIMITS)

    assert np.array_equal(found, decode(whole(name), LIMITS))


@pytest.mark.parametrize("between", [b"", muxed.id3(500), bytes(700)], ids=["nothing", "a tag", "zeros"])
@pytest.mark.parametrize("name", KINDS)
def test_joined_files_are_read_one_after_the_other(
    name: str, between: bytes, whole: Callable[[str], bytes]
) -> None:
    alone = decode(whole(name), LIMITS)

    found = decode(whole(name) + between + whole(name), LIMITS)

    if between or name not in ("AAC", "AC-3", "E-AC-3"):
        assert np.array_equal(found, np.concatenate([alone, alone]))
    else:
        # Frames that follow each other directly are one stream, in which the second file has no start.
        np.testing.assert_allclose(found, np.concatenate([alone, alone]), atol=0.02)


@pytest.mark.parametrize("name", KINDS)
def test_a_file_of_another_container_behind_is_read_too(name: str, whole: Callable[[str], bytes]) -> None:
    alone, other = decode(whole(name), LIMITS), decode(whole("WAV PCM"), LIMITS)

    found = decode(whole(name) + whole("WAV PCM"), LIMITS)

    assert np.array_equal(found, np.concatenate([alone, other]))


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.unfinished])
def test_an_unfinished_header_is_read_to_the_end_or_refused(name: str, whole: Callable[[str], bytes]) -> None:
    unfinished = KINDS[name].unfinished
    if isinstance(unfinished, str):
        data = whole(name)
        # A recorder that crashed leaves an AIFF without sizes, and an MP4 without its index.
        data = put(">I", 4, 0)(data) if name == "AIFF" else data.replace(b"moov", b"free")
        with pytest.raises(CorruptAudio, match=re.escape(unfinished)):
            decode(data, LIMITS)
    else:
        assert unfinished is not None
        check(unfinished(whole(name)), muxed.ONSETS, KINDS[name])


@pytest.mark.parametrize(
    "size",
    [0, 0xFFFF_FFFF, 0x7FFF_FFFF, 0x7FFF_FF9B, 0x7FFF_F000, 0x8000_0000, 2_000_000_000, 0xFFFF_FFFF - 36],
)
def test_every_placeholder_of_a_streamed_wav_is_read_to_the_end(size: int) -> None:
    plain = muxed.by_sound_file("WAV", "PCM_16", 16_000)
    position = plain.index(b"data")
    listed = plain[:position] + b"LIST" + struct.pack("<I", 26) + bytes(26) + plain[position:]
    behind_zeros = plain[:position] + b"LIST" + struct.pack("<I", 8_192) + bytes(8_192) + plain[position:]

    for data in (plain, listed, behind_zeros):
        assert np.array_equal(decode(unfinished_wav(size)(data), LIMITS), decode(plain, LIMITS))


def test_joined_wavs_of_unknown_length_are_both_read() -> None:
    plain = muxed.by_sound_file("WAV", "PCM_16", 16_000)
    endless = unfinished_wav(0xFFFF_FFFF)(plain)

    assert np.array_equal(decode(endless * 2, LIMITS), np.tile(decode(plain, LIMITS), 2))


@pytest.mark.parametrize("name", ["WebM Opus", "Matroska AAC"])
def test_a_recorder_that_started_again_is_read_whole(name: str, whole: Callable[[str], bytes]) -> None:
    live = _live(
        *{"WebM Opus": ("webm", "libopus", 48_000), "Matroska AAC": ("matroska", "aac", 44_100)}[name]
    )
    alone, sized = decode(live, LIMITS), decode(whole(name), LIMITS)

    assert np.array_equal(decode(live + live, LIMITS), np.concatenate([alone, alone]))
    assert np.array_equal(decode(live + whole(name), LIMITS), np.concatenate([alone, sized]))
    assert np.array_equal(decode(whole(name) + live, LIMITS), np.concatenate([sized, alone]))


def test_an_empty_wav_with_a_chunk_behind_it_is_empty() -> None:
    empty = muxed.by_sound_file("WAV", "PCM_16", 16_000)[:44]
    data = both(put("<I", 4, 48), put("<I", b"data", 0))(empty) + b"LIST" + struct.pack("<I", 4) + b"INFO"

    with pytest.raises(VoxError, match="no samples"):
        decode(data, LIMITS)


def test_joined_mp3s_of_different_rates_are_both_read() -> None:
    first, second = (muxed.mux("mp3", "libmp3lame", rate) for rate in (44_100, 22_050))

    found = decode(first + second, LIMITS)

    assert np.array_equal(found, np.concatenate([decode(first, LIMITS), decode(second, LIMITS)]))


def test_a_live_stream_begins_at_its_first_packet() -> None:
    late = muxed.mux("webm", "libopus", 48_000, late_s=7_200.0)

    assert np.allclose(muxed.onsets(decode(late, LIMITS)), muxed.ONSETS, atol=TOLERANCE_S)


CLOCKED = ("MP4 AAC", "MP4 Opus", "MP4 ALAC", "WebM Opus", "Matroska AAC", "Matroska FLAC")
"""Kinds that keep the timestamp of every packet; Ogg has one for each page."""


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(CLOCKED),
    st.floats(0.0, 20.0),
    st.lists(st.tuples(st.sampled_from([0.2, 1.4, 2.8, 4.2]), st.floats(0.05, 8.0)), max_size=3),
    st.floats(0.0, 0.55),
)
def test_onsets_are_where_they_were_muxed(
    name: str, late_s: float, gaps: list[tuple[float, float]], cut_s: float
) -> None:
    rate = 48_000 if "Opus" in name or "FLAC" in name else 44_100
    spans = [(start, start + 0.5) for start in (0.6, 1.8, 3.2, 4.6)]
    samples = muxed.bursts(rate, spans, 5.5)[round(cut_s * rate) :]
    container = {"MP4": "mp4", "WebM": "webm", "Matroska": "matroska"}[name.split()[0]]
    codec = {"AAC": "aac", "Opus": "libopus", "ALAC": "alac", "FLAC": "flac"}[name.split()[1]]
    gaps = [(at - cut_s, jump) for at, jump in gaps]

    data = muxed.mux(container, codec, rate, samples, late_s=late_s, gaps=gaps)

    starts = [start - cut_s for start, _ in spans]
    expected = [start + late_s + sum(jump for at, jump in gaps if start > at) for start in starts]
    found = muxed.onsets(decode(data, LIMITS))
    assert np.allclose(found, expected, atol=TOLERANCE_S), (found, expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("WAV PCM", True), ("WAV mu-law", True), ("RF64", True), ("FLAC", True), ("WAV ADPCM", False),
     ("WAV MP3", False), ("MP3", False)],
)  # fmt: skip
def test_uncompressed_samples_are_read_by_the_faster_library(
    name: str, expected: bool, whole: Callable[[str], bytes]
) -> None:
    (part,) = split(whole(name), LIMITS)

    assert sound_file.reads(part) is expected
