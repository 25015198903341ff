"""The processor time of decoding has the bound that SECURITY.md and docs/operations.md promise."""

import asyncio
from collections.abc import Callable

import hostile
import psutil
import pytest

from config.settings import AudioLimits, DecoderSettings
from pipelines.audio.workers.pool import DecoderPool
from voxgraph.errors import DecodingTooCostly

MAX_CPU_S = 5.0
"""Seconds for a body of less than 10 MB with at most ten minutes of audio."""
TOLERANCE_S = 0.1
"""What the kernel takes to notice, and the process to start."""


async def cpu_seconds(content: bytes, settings: DecoderSettings) -> tuple[float, float | None]:
    """Return the processor time of a new decoder, and the seconds of audio; None if it was too costly."""
    pool = DecoderPool(AudioLimits(), settings)
    try:
        await pool.start()
        server = psutil.Process(pool._server.pid if pool._server else None)
        (decoder,) = server.children()
        try:
            seconds = len((await pool.decode(content)).waveform) / hostile.RATE_HZ
        except DecodingTooCostly:
            async with asyncio.timeout(10):
                while decoder.is_running():
                    await asyncio.sleep(0.01)
            times = server.cpu_times()
            return times.children_user + times.children_system, None
        alive = decoder.cpu_times()
        return alive.user + alive.system, seconds
    finally:
        await pool.close()


def promised_s(content: bytes, seconds: float, settings: DecoderSettings) -> float:
    """Return the bound: seconds for the bytes and for the audio, rounded up by the kernel."""
    return len(content) / 10e6 + max(settings.min_cpu_s, settings.cpu_share * seconds) + 1


COSTLY: dict[str, Callable[[], bytes]] = {
    "AAC of a million broken frames": lambda: hostile.broken_frames(1_100_000),
    "ten minutes of 192 kHz and 8 channels": lambda: hostile.wide_silence(192_000, 8, 590),
}
"""Bodies of less than 10 MB that take a decoder longer than is allowed."""


@pytest.mark.parametrize("name", COSTLY)
async def test_less_than_10_mb_of_ten_minutes_take_5_s_at_most(name: str) -> None:
    content, settings = COSTLY[name](), DecoderSettings(processes=1)
    assert len(content) < 10_000_000

    taken_s, seconds = await cpu_seconds(content, settings)

    assert seconds is None
    assert 2 < taken_s <= min(MAX_CPU_S, promised_s(content, 600, settings)) + TOLERANCE_S


async def test_an_hour_in_few_bytes_takes_what_its_length_allows_at_most() -> None:
    content, settings = hostile.long_opus(3600), DecoderSettings(processes=1)
    assert len(content) < 3_000_000

    taken_s, seconds = await cpu_seconds(content, settings)

    assert seconds == pytest.approx(3600, abs=1)
    assert taken_s <= promised_s(content, 3600, settings) + TOLERANCE_S


async def test_an_hour_in_few_bytes_is_ended_where_its_length_allows_less() -> None:
    content = hostile.long_opus(3600)
    settings = DecoderSettings(processes=1, min_cpu_s=0.2, cpu_share=0.0001)

    taken_s, seconds = await cpu_seconds(content, settings)

    assert seconds is None
    assert taken_s <= promised_s(content, 3600, settings) + TOLERANCE_S
