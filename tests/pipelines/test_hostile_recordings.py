"""Recordings made to cost memory and time: pictures, counts without data, codecs that nobody asked for."""

import json
import subprocess
import sys
import time
from pathlib import Path

import clips
import hostile
import muxed
import pytest
from launched import ROOT

from config.settings import AudioLimits
from pipelines.audio import ffmpeg
from pipelines.audio.decoding import decode
from pipelines.audio.formats import sniff
from pipelines.audio.mp4_index import MAX_TRACKS, check_index
from voxgraph.errors import CorruptAudio, DecodingTooCostly, UnsupportedAudio

LIMITS = AudioLimits()
MAX_ADDED_MB, MAX_S = 60, 0.5
MEASURE = """
import json, sys, time
from pathlib import Path

from config.settings import AudioLimits
from pipelines.audio import ffmpeg
from pipelines.audio.decoding import decode
from voxgraph.errors import VoxError


def peak_mb():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1000


found = {}
for path in sorted(Path(sys.argv[1]).iterdir()):
    data = path.read_bytes()
    Path("/proc/self/clear_refs").write_text("5")
    before, started = peak_mb(), time.perf_counter()
    try:
        outcome = len(decode(data, AudioLimits())) / 16_000
    except VoxError as error:
        outcome = error.code
    found[path.name] = [outcome, time.perf_counter() - started, peak_mb() - before]
print(json.dumps(found))
"""
"""Decodes the files of a folder and prints the outcome, seconds and megabytes of each."""
REFUSED = {
    "40 million samples of one size": hostile.counted_samples(40_000_000),
    "four tracks of 4 million": hostile.counted_samples(4_000_000, tracks=4),
    "chunks of 67 million samples": hostile.large_chunks(100, 1 << 26),
    "a fragment of 10 million samples": hostile.long_fragment(10_000_000),
    "4 million samples in a description": hostile.hidden_table(4_000_000),
}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[float | str, float, float]]:
    """Decode all hostile files in a process of their own; return outcome, seconds and megabytes."""
    folder: Path = tmp_path_factory.mktemp("hostile")
    pictured = {f"pictures in {name}": make(8_000) for name, make in hostile.PICTURED.items()}
    plain = {" plain": clips.ffmpeg_bytes(clips.tone(1.0, 48_000), 48_000, "ogg", "libopus")}
    for name, data in (plain | pictured | REFUSED).items():
        (folder / name).write_bytes(data)
    command = [sys.executable, "-c", MEASURE, str(folder)]
    done = subprocess.run(command, cwd=ROOT, check=True, timeout=60, capture_output=True)
    found: dict[str, tuple[float | str, float, float]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", hostile.PICTURED)
def test_pictures_beside_the_sound_are_not_decoded(name: str, measured: dict[str, tuple]) -> None:
    outcome, seconds, added_mb = measured[f"pictures in {name}"]

    assert outcome == pytest.approx(1.0, abs=0.1)
    assert seconds < MAX_S
    assert added_mb < MAX_ADDED_MB


@pytest.mark.parametrize("name", REFUSED)
def test_an_index_that_its_file_cannot_fill_is_refused_before_it_is_built(
    name: str, measured: dict[str, tuple]
) -> None:
    outcome, seconds, added_mb = measured[name]

    assert outcome == "corrupt_audio"
    assert seconds < MAX_S
    assert added_mb < MAX_ADDED_MB


@pytest.mark.parametrize(
    "options", [{}, {"movflags": "frag_every_frame"}, {"movflags": "empty_moov+frag_keyframe"}]
)
@pytest.mark.parametrize("codec", ["pcm_s16le", "aac", "adpcm_ima_qt", "pcm_alaw"])
def test_the_index_of_a_plain_file_is_accepted(codec: str, options: dict[str, str]) -> None:
    check_index(muxed.mux("mov", codec, 16_000, **options))


def test_an_index_of_many_tracks_or_that_is_compressed_is_unsupported() -> None:
    with pytest.raises(UnsupportedAudio, match="tracks"):
        decode(hostile.counted_samples(1, tracks=MAX_TRACKS + 1), LIMITS)
    with pytest.raises(UnsupportedAudio, match="compressed"):
        decode(hostile.movie(hostile.atom(b"cmov", bytes(100))), LIMITS)


@pytest.mark.parametrize("kind", [b"stts", b"stsc", b"stco", b"stz2"])
def test_a_table_that_ends_before_its_rows_is_corrupt(kind: bytes) -> None:
    whole = muxed.mux("mov", "aac", 16_000)
    if kind == b"stz2":
        whole = whole.replace(b"stsz\0\0\0\0\0\0\0\0", b"stz2\0\0\0\0\0\0\0\x10")
    position = whole.index(kind) + (12 if kind == b"stz2" else 8)
    data = whole[:position] + (10_000).to_bytes(4) + whole[position + 4 :]

    with pytest.raises(CorruptAudio, match=kind.decode()):
        decode(data, LIMITS)


@pytest.mark.parametrize(
    "start",
    [b"\r\n" * 8_000_000, (b"\0" * 4095 + b"\n") * 4_000, b"ID3\4\0\0\0\0\0\0" * 800_000],
    ids=["line ends", "zeros and line ends", "empty tags"],
)
def test_what_precedes_a_recording_is_skipped_or_refused_quickly(start: bytes) -> None:
    started = time.thread_time()

    assert sniff(start + b"no recording") is None

    assert time.thread_time() - started < MAX_S


@pytest.mark.parametrize(("rate", "channels"), [(768_000, 3), (192_000, 9), (96_000, 17)])
def test_the_rate_times_the_channels_is_bounded(rate: int, channels: int) -> None:
    beyond, within = (
        clips.soundfile_bytes(clips.tone(0.2, rate, count), rate, "WAV", "PCM_16")
        for count in (channels, channels - 1)
    )

    assert len(decode(within, LIMITS)) == 3_200
    with pytest.raises(UnsupportedAudio, match="samples a second"):
        decode(beyond, LIMITS)


def test_a_codec_outside_the_table_is_refused_by_name_though_ffmpeg_reads_it() -> None:
    data = muxed.mux("wav", "wmav2", 44_100)

    with pytest.raises(UnsupportedAudio, match="codec wmav2 in the WAV"):
        decode(data, LIMITS)


def test_short_frames_are_bounded_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    data = hostile.short_packets(120_000)
    monkeypatch.setattr(ffmpeg, "MAX_SHORT_FRAMES", 12_000)
    assert len(decode(data, LIMITS)) == pytest.approx(30 * 16_000, abs=160)

    # The decoder's delay takes the first few.
    monkeypatch.setattr(ffmpeg, "MAX_SHORT_FRAMES", 11_990)
    with pytest.raises(DecodingTooCostly, match="More than 11990 packets of less than 5 ms"):
        decode(data, LIMITS)


def test_frames_of_5_ms_are_not_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg, "MAX_SHORT_FRAMES", 10)

    assert len(decode(hostile.short_packets(60_000, 5.0), LIMITS)) == pytest.approx(30 * 16_000, abs=160)


def test_ten_minutes_of_the_shortest_packets_of_opus_are_within_the_bound() -> None:
    assert ffmpeg.MAX_SHORT_FRAMES * 0.0025 > 600
