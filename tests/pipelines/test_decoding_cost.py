"""The processor time of decoding has the bound that SECURITY.md and docs/operations.md promise."""

import asyncio
from collections.abc import Callable

import hostile
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import AudioLimits, DecoderSettings
from pipelines.audio.workers.pool import DecoderPool
from pipelines.audio.workers.processes import SMALL_BYTES, allowed_cpu_s
from voxgraph.errors import DecodingTooCostly

MAX_CPU_S = 5.0
"""Seconds for a body of less than 10 MB."""
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


COSTLY: dict[str, Callable[[], bytes]] = {
    "AAC of a million broken frames": lambda: hostile.broken_frames(1_100_000),
    "ten minutes of 192 kHz and 8 channels": lambda: hostile.wide_silence(192_000, 8, 590),
    "three and a half hours of Opus": lambda: hostile.long_opus(3.5 * 3600),
}
"""Bodies of less than 10 MB that take a decoder longer than is allowed."""


@pytest.mark.parametrize("name", COSTLY)
async def test_less_than_10_mb_take_5_s_at_most(name: str) -> None:
    content = COSTLY[name]()
    assert len(content) < 10_000_000

    taken_s, seconds = await cpu_seconds(content, DecoderSettings(processes=1))

    assert seconds is None
    assert MAX_CPU_S - 1 < taken_s <= MAX_CPU_S + TOLERANCE_S


async def test_half_an_hour_in_few_bytes_is_decoded() -> None:
    content, settings = hostile.long_opus(1800), DecoderSettings(processes=1)
    assert len(content) < 1_500_000

    taken_s, seconds = await cpu_seconds(content, settings)

    assert seconds == pytest.approx(1800, abs=1)
    assert taken_s <= settings.min_cpu_s


async def test_a_limit_below_a_second_is_kept() -> None:
    settings = DecoderSettings(processes=1, min_cpu_s=0.4)

    taken_s, seconds = await cpu_seconds(hostile.long_opus(3600), settings)

    assert seconds is None
    assert taken_s <= 0.4 + 2 * TOLERANCE_S


async def test_more_bytes_pay_for_more_time() -> None:
    content, settings = hostile.long_opus(1200, 96_000), DecoderSettings(processes=1, min_cpu_s=0.4)
    assert 12_000_000 < len(content) < 20_000_000

    taken_s, seconds = await cpu_seconds(content, settings)

    assert seconds == pytest.approx(1200, abs=1)
    assert 0.4 + 2 * TOLERANCE_S < taken_s <= allowed_cpu_s(len(content), 1200, settings)


@given(st.integers(0, SMALL_BYTES), st.floats(0, 14_400))
def test_length_allows_a_small_recording_nothing(size: int, seconds: float) -> None:
    assert allowed_cpu_s(size, seconds, DecoderSettings()) < MAX_CPU_S


@given(st.integers(0, 600_000_000), st.floats(0, 14_400))
def test_a_longer_or_larger_recording_may_take_no_less(size: int, seconds: float) -> None:
    settings = DecoderSettings()
    allowed_s = allowed_cpu_s(size, seconds, settings)

    assert allowed_s <= allowed_cpu_s(size, seconds + 60, settings)
    assert allowed_s <= allowed_cpu_s(size + 1_000_000, seconds, settings)
    assert allowed_s <= settings.min_cpu_s + size / 10e6 + max(0.0, settings.cpu_share * seconds)


@pytest.mark.parametrize("hours", [2, 4])
@pytest.mark.parametrize("bits_per_s", [16_000, 24_000, 64_000])
def test_hours_of_opus_may_take_a_quarter_more_than_they_do(hours: int, bits_per_s: int) -> None:
    seconds = 3600 * hours

    assert allowed_cpu_s(seconds * bits_per_s // 8, seconds, DecoderSettings()) > 1.25 * 0.001 * seconds
