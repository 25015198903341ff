"""Decoding in processes: the same answers, and whatever happens to a process costs its recording alone."""

import asyncio
import io
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import clips
import hostile
import muxed
import numpy as np
import psutil
import pytest
import pytest_asyncio
import soundfile

from config.settings import AudioLimits, DecoderSettings
from pipelines.audio.decoding import decode_recording
from pipelines.audio.workers import pool as pool_module
from pipelines.audio.workers.messages import AHEAD_S
from pipelines.audio.workers.pool import DecoderPool
from pipelines.pages import give_back_shared, pieces, shared_bytes
from voxgraph.errors import (
    AudioTooLong,
    DecodingTooCostly,
    EmptyAudio,
    Overloaded,
    UndecodableAudio,
    VoxError,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMITS = AudioLimits(max_audio_s=600)
RATE_HZ = 16_000
TONE = clips.ffmpeg_bytes(clips.tone(10.0, 48_000), 48_000, "ogg", "libopus")
"""A recording of several blocks."""
WIDE = clips.soundfile_bytes(np.zeros((30 * 96_000, 4), np.float32), 96_000, "FLAC")
"""A small file of 30 s of 96 kHz with four channels; twenty of them, one behind the other, take seconds."""


@asynccontextmanager
async def pool_of(limits: AudioLimits = LIMITS, **settings: float) -> AsyncIterator[DecoderPool]:
    pool = DecoderPool(limits, DecoderSettings.model_validate(settings))
    try:
        yield pool
    finally:
        await pool.close()
        assert [
            child for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE
        ] == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[DecoderPool]:
    async with pool_of() as pool:
        yield pool


@pytest_asyncio.fixture(loop_scope="module")
async def pool(shared: DecoderPool) -> DecoderPool:
    """Return a pool whose processes all wait, whatever the test before did to them."""
    await shared.start()
    await until(lambda: len(shared._idle) == 2)
    return shared


def in_the_middle(action: Callable[[], object]) -> Callable[[float], None]:
    """Return a callback of progress that acts at the first report of the decoder.

    The room for the beginning is taken before it has the recording.
    """
    calls = list[float]()

    def report(seconds: float) -> None:
        calls.append(seconds)
        if len(calls) == 2:
            action()

    return report


async def until(condition: Callable[[], bool], within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


def decoder_pids(pool: DecoderPool) -> set[int]:
    assert pool._server is not None
    return {child.pid for child in psutil.Process(pool._server.pid).children()}


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid)


async def assert_decodes(pool: DecoderPool) -> None:
    assert len((await pool.decode(TONE)).waveform) == pytest.approx(10 * RATE_HZ, abs=500)


async def test_every_format_is_decoded_as_it_is_in_this_process(pool: DecoderPool) -> None:
    formats = clips.formats() | {
        "AMR": muxed.mux("amr", "amr_nb", 8_000),
        "WMA": muxed.mux("asf", "wmav2", 44_100),
        "CAF ALAC": muxed.mux("caf", "alac", 44_100),
        "MP4 FLAC": muxed.mux("mp4", "flac", 44_100, gaps=[(1.5, 1.25)]),
        "E-AC-3": muxed.mux("eac3", "eac3", 48_000),
        "WAV ADPCM": muxed.mux("wav", "adpcm_ms", 44_100),
        "AU": muxed.by_sound_file("AU", "PCM_16", 16_000),
        "TTA": clips.ffmpeg_bytes(clips.tone(1.0, 48_000, 9), 48_000, "matroska", "tta"),
        "WavPack": clips.ffmpeg_bytes(clips.tone(1.0, 48_000, 2), 48_000, "matroska", "wavpack"),
        "channels that cancel": clips.soundfile_bytes(
            clips.tone(5.0, 44_100, 2) * np.float32([1, -1]), 44_100, "FLAC"
        ),
        "joined files": TONE + clips.soundfile_bytes(clips.tone(), 16_000, "FLAC"),
    }

    for name, data in formats.items():
        found, expected = await pool.decode(data), decode_recording(data, LIMITS)
        assert np.array_equal(found.waveform, expected.waveform), name
        assert found.quality == expected.quality, name


async def test_a_channel_can_be_chosen(pool: DecoderPool) -> None:
    stereo = clips.tone(3.0, 44_100, 2) * np.float32([1, 0.25])
    data = clips.soundfile_bytes(stereo, 44_100, "FLAC")

    found = await pool.decode(data, channel=1)

    assert np.array_equal(found.waveform, decode_recording(data, LIMITS, channel=1).waveform)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"This is no recording.\n" * 100,
        b"fLaC",
        TONE[: len(TONE) // 2],
        clips.soundfile_bytes(clips.tone(0.01), RATE_HZ, "FLAC"),
        clips.soundfile_bytes(clips.tone(1.0, channels=60), RATE_HZ, "WAV", "FLOAT"),
        clips.soundfile_bytes(np.full((RATE_HZ, 1), np.nan), RATE_HZ, "WAV", "FLOAT"),
        muxed.mux("wav", "wmav2", 44_100),
    ],
    ids=["nothing", "text", "a mark", "truncated", "short", "60 channels", "NaN", "codec"],
)
async def test_a_refusal_is_that_of_this_process_and_ends_no_decoder(pool: DecoderPool, data: bytes) -> None:
    before = decoder_pids(pool)
    with pytest.raises(VoxError) as expected:
        decode_recording(data, LIMITS)

    with pytest.raises(VoxError) as found:
        await pool.decode(data)

    assert (type(found.value), found.value.detail) == (type(expected.value), expected.value.detail)
    assert decoder_pids(pool) == before


async def test_a_refusal_of_the_progress_stops_the_decoding(pool: DecoderPool) -> None:
    def refuse(seconds: float) -> None:
        raise Overloaded(f"no room for {seconds:.0f} s")

    with pytest.raises(Overloaded, match="no room"):
        await pool.decode(TONE, on_progress=refuse)

    await assert_decodes(pool)


async def test_a_short_recording_asks_for_room_once_and_a_longer_one_for_what_it_has(
    pool: DecoderPool,
) -> None:
    asked = list[list[float]]()
    for data in (TONE, TONE * 4):
        calls = list[float]()
        await pool.decode(data, on_progress=calls.append)
        asked.append(calls)

    assert asked[0] == [AHEAD_S]
    assert asked[1][0] == AHEAD_S
    assert asked[1] == sorted(asked[1])
    assert asked[1][-1] >= 40


async def test_a_decoder_that_ends_before_it_has_the_recording_costs_it_alone(pool: DecoderPool) -> None:
    def crash(_: float) -> None:
        (decoder,) = pool._busy
        os.kill(decoder.pid, signal.SIGKILL)
        while not decoder.has_ended:
            time.sleep(0.001)

    with pytest.raises(UndecodableAudio):
        await pool.decode(TONE, on_progress=crash)

    await assert_decodes(pool)


async def test_a_recording_over_the_limit_is_refused_early() -> None:
    async with pool_of(AudioLimits(max_audio_s=5)) as pool:
        with pytest.raises(AudioTooLong):
            await pool.decode(TONE)


async def test_a_crash_costs_its_recording_alone_and_is_replaced(pool: DecoderPool) -> None:
    before = decoder_pids(pool)
    crashed = list[int]()

    def crash() -> None:
        (pid,) = before - {decoder.pid for decoder in pool._idle}
        crashed.append(pid)
        os.kill(pid, signal.SIGSEGV)

    with pytest.raises(UndecodableAudio):
        await pool.decode(TONE * 4, on_progress=in_the_middle(crash))
    await assert_decodes(pool)

    await until(lambda: len(pool._idle) == 2 and len(decoder_pids(pool)) == 2)
    assert is_gone(crashed[0])


async def test_a_crash_leaves_a_neighbour_alone(pool: DecoderPool) -> None:
    crashing = asyncio.create_task(
        pool.decode(TONE * 4, on_progress=in_the_middle(lambda: os.kill(pool._busy[0].pid, signal.SIGABRT)))
    )
    neighbours = [asyncio.create_task(assert_decodes(pool)) for _ in range(4)]

    with pytest.raises(UndecodableAudio):
        await crashing
    await asyncio.gather(*neighbours)


async def test_too_much_processor_time_is_refused() -> None:
    async with pool_of(min_cpu_s=0.1, cpu_share=1e-6) as pool:
        with pytest.raises(DecodingTooCostly, match="processor time"):
            await pool.decode(WIDE * 20)
        await assert_decodes(pool)


async def test_silence_of_a_high_rate_takes_no_more_than_its_bytes_and_seconds_allow() -> None:
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 640_000, 2, format="FLAC", subtype="PCM_16") as writer:
        for _ in range(240):
            writer.write(np.zeros((640_000, 2), np.int16))

    async with pool_of(min_cpu_s=0.3, cpu_share=0.002) as pool:
        await pool.start()
        with pytest.raises(DecodingTooCostly, match="processor time"):
            await pool.decode(file.getvalue())


async def test_a_long_recording_is_in_the_memory_of_no_process() -> None:
    hour = clips.soundfile_bytes(np.zeros(3600 * RATE_HZ, np.int16), RATE_HZ, "FLAC")
    async with pool_of(AudioLimits(), processes=1) as pool:
        await pool.start()
        watched = [psutil.Process(), *map(psutil.Process, decoder_pids(pool))]
        before, peak = [process.memory_info().rss for process in watched], [0, 0]

        def watch(_: float) -> None:
            for number, process in enumerate(watched):
                peak[number] = max(peak[number], process.memory_info().rss - before[number])

        recording = await pool.decode(hour, on_progress=watch)
        watch(0.0)
        loudest = max(float(np.abs(piece).max()) for piece in pieces(recording.waveform))
        watch(0.0)

    assert (len(recording.waveform), loudest) == (3600 * RATE_HZ, 0.0)
    # The waveform has 230 MB.
    assert max(peak) < 80e6, peak


async def test_what_was_read_of_a_long_recording_is_given_back_while_it_lives() -> None:
    long = clips.soundfile_bytes(np.zeros(550 * RATE_HZ, np.int16), RATE_HZ, "FLAC")
    async with pool_of(processes=1) as pool:
        waveform = (await pool.decode(long)).waveform
        before = shared_bytes()
        assert float(waveform.max()) == 0.0
        read = shared_bytes() - before

        give_back_shared()

    assert read > 0.9 * waveform.nbytes
    assert shared_bytes() - before < 0.1 * read
    assert float(waveform.min()) == 0.0


async def test_broken_frames_are_not_kept_while_one_is_looked_for_that_can_be_decoded() -> None:
    async with pool_of(max_memory_bytes=40 << 20) as pool:
        with pytest.raises(EmptyAudio):
            await pool.decode(hostile.broken_frames(120_000))


async def test_too_much_memory_is_refused() -> None:
    wide = clips.soundfile_bytes(np.zeros((10 * 192_000, 8), np.float32), 192_000, "FLAC")
    async with pool_of(max_memory_bytes=8 << 20) as pool:
        with pytest.raises(DecodingTooCostly, match="memory"):
            await pool.decode(wide)
        await assert_decodes(pool)


async def test_a_decoder_that_stands_still_is_killed() -> None:
    async with pool_of(max_stall_s=0.5) as pool:
        await pool.start()
        before = decoder_pids(pool)

        stop = in_the_middle(lambda: os.kill(pool._busy[0].pid, signal.SIGSTOP))
        with pytest.raises(DecodingTooCostly, match="stood still"):
            await pool.decode(TONE * 4, on_progress=stop)

        await until(lambda: sum(map(is_gone, before)) == 1)


async def test_a_decoder_that_goes_on_for_ever_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "SLOWEST", 0.0)
    async with pool_of(max_stall_s=0.6, cpu_share=10.0) as pool:
        with pytest.raises(DecodingTooCostly, match=r"more than \d+ s"):
            await pool.decode(WIDE * 20)


async def test_a_caller_that_leaves_ends_the_decoding_within_a_second(pool: DecoderPool) -> None:
    before = decoder_pids(pool)
    work = asyncio.create_task(pool.decode(WIDE * 20))
    await asyncio.sleep(0.3)

    started = time.monotonic()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    await until(lambda: sum(map(is_gone, before)) == 1)

    assert time.monotonic() - started < 1
    await assert_decodes(pool)


async def test_a_fork_server_that_was_killed_is_started_again(pool: DecoderPool) -> None:
    assert pool._server is not None
    server, before = pool._server.pid, decoder_pids(pool)

    os.kill(server, signal.SIGKILL)
    await until(lambda: all(map(is_gone, before)))
    await assert_decodes(pool)

    assert pool._server.pid != server


async def test_a_decoder_that_died_while_it_waited_costs_nothing(pool: DecoderPool) -> None:
    for pid in decoder_pids(pool):
        os.kill(pid, signal.SIGKILL)
        await until(lambda pid=pid: is_gone(pid))

    await assert_decodes(pool)


async def test_a_decoder_is_replaced_after_many_recordings(
    pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "MAX_DECODED", 2)
    before = decoder_pids(pool)

    for _ in range(4):
        await assert_decodes(pool)

    await until(lambda: len(pool._idle) == 2)
    assert not decoder_pids(pool) & before


async def test_a_short_recording_does_not_wait_for_a_long_one() -> None:
    async with pool_of(processes=1) as pool:
        await pool.start()
        long = asyncio.create_task(pool.decode(WIDE * 10))
        await asyncio.sleep(0.5)
        assert not long.done()

        await assert_decodes(pool)

        assert not long.done()
        assert len((await long).waveform) == 300 * RATE_HZ


async def test_more_long_recordings_than_there_are_processes_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool_module, "LONG_S", 0.0)
    async with pool_of(processes=1) as pool:
        works = [asyncio.create_task(pool.decode(TONE * 10)) for _ in range(pool_module.PROCESSES_PER_PLACE)]
        outcomes = await asyncio.gather(*works, return_exceptions=True)

        assert any(isinstance(outcome, Overloaded) for outcome in outcomes)
        assert any(not isinstance(outcome, Exception) for outcome in outcomes)


async def test_the_fork_server_knows_no_secret_and_has_no_socket_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    monkeypatch.setenv("HF_TOKEN", "secret")
    async with pool_of() as pool:
        await pool.start()
        assert pool._server is not None
        process = Path("/proc") / str(pool._server.pid)

        environment = process.joinpath("environ").read_bytes()
        sockets = [link for link in process.joinpath("fd").iterdir() if "socket" in os.readlink(link)]

    assert b"secret" not in environment
    assert b"RAY_" not in environment
    assert len(sockets) == 3  # The control socket, and the pair by which it wakes itself.
