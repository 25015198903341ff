"""Small files that decode to hours: the decoded audio of all requests together is bounded."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import clips
import numpy as np
import pytest

from config.settings import AudioLimits
from deployments.api.budget import DecodedAudioBudget, Reservation
from deployments.api.decoders import OnProgress, ThreadDecoder
from pipelines.audio.decoding import Recording, decode
from voxgraph.errors import AudioTooLong, CorruptAudio, Overloaded
from voxgraph.results import SAMPLE_RATE_HZ, Waveform


def silence(seconds: float, kind: str = "FLAC") -> bytes:
    """Encode silence, which takes a few bytes per second."""
    samples = np.zeros((int(seconds * SAMPLE_RATE_HZ), 1), np.float32)
    if kind == "FLAC":
        return clips.soundfile_bytes(samples, SAMPLE_RATE_HZ, "FLAC")
    return clips.ffmpeg_bytes(samples, SAMPLE_RATE_HZ, kind, {"adts": "aac", "mp3": "libmp3lame"}[kind])


LONG = silence(90)


class Gate:
    """Blocks every caller until it is open, and adds up the seconds of audio that they hold."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.held_s = 0.0
        self.peak_s = 0.0

    async def __call__(self, waveform: Waveform) -> None:
        self.held_s += len(waveform) / SAMPLE_RATE_HZ
        self.peak_s = max(self.peak_s, self.held_s)
        try:
            await self.opened.wait()
        finally:
            self.held_s -= len(waveform) / SAMPLE_RATE_HZ


@pytest.fixture
async def gate(analyzer: Any) -> Gate:
    """Block `detect_language` until the gate is open."""
    gate, detect_language = Gate(), analyzer.detect_language

    async def blocked(waveform: Waveform, *options: Any) -> Any:
        await gate(waveform)
        return await detect_language(waveform, *options)

    analyzer.detect_language = blocked
    return gate


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_recording_beyond_the_budget_is_refused_until_others_end(client_of: Any, gate: Gate) -> None:
    client = client_of(limits=AudioLimits(max_audio_s=100, max_decoded_s=150))
    first = asyncio.create_task(client.post("/detect-language", content=LONG))
    await until(lambda: gate.held_s > 0)

    refused = await asyncio.wait_for(client.post("/detect-language", content=LONG), 30)
    shorter = asyncio.create_task(client.post("/detect-language", content=silence(50)))
    await until(lambda: gate.held_s == 140)
    gate.opened.set()

    assert len(LONG) < 20_000
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert int(refused.headers["retry-after"]) >= 1
    assert [(await task).status_code for task in (first, shorter)] == [200, 200]
    for _ in range(3):
        assert (await client.post("/detect-language", content=LONG)).status_code == 200


async def test_concurrent_uploads_never_exceed_the_budget(client_of: Any, gate: Gate) -> None:
    client = client_of(limits=AudioLimits(max_audio_s=100, max_decoded_s=250))
    requests = [asyncio.create_task(client.post("/detect-language", content=LONG)) for _ in range(12)]
    await until(lambda: sum(task.done() for task in requests) >= 10)
    gate.opened.set()

    statuses = sorted([(await task).status_code for task in requests])

    assert statuses[0] == 200
    assert statuses[-10:] == [503] * 10
    assert 90 <= gate.peak_s <= 250


async def test_a_recording_over_the_length_limit_is_413_not_503(client_of: Any) -> None:
    client = client_of(limits=AudioLimits(max_audio_s=80, max_decoded_s=100))

    response = await client.post("/detect-language", content=LONG)

    assert (response.status_code, response.json()["code"]) == (413, "audio_too_long")
    assert "80 s" in response.json()["detail"]


async def test_the_budget_always_has_room_for_one_recording_of_maximum_length(client_of: Any) -> None:
    client = client_of(limits=AudioLimits(max_audio_s=90, max_decoded_s=1))

    assert (await client.post("/detect-language", content=LONG)).status_code == 200


async def test_a_quick_recording_is_accepted_when_the_budget_is_used_up(client_of: Any, gate: Gate) -> None:
    client = client_of(limits=AudioLimits(max_audio_s=90, max_decoded_s=90))
    first = asyncio.create_task(client.post("/detect-language", content=LONG))
    await until(lambda: gate.held_s > 0)
    quick = clips.soundfile_bytes(clips.tone(1.0), SAMPLE_RATE_HZ, "WAV", "PCM_16")

    refused = await asyncio.wait_for(client.post("/detect-language", content=silence(1)), 30)
    taken = asyncio.create_task(client.post("/detect-language", content=quick))
    await until(lambda: gate.held_s == 91)
    gate.opened.set()

    assert refused.status_code == 503
    assert [(await task).status_code for task in (first, taken)] == [200, 200]


async def test_a_failed_request_releases_its_reservation(client_of: Any, analyzer: Any) -> None:
    client = client_of(limits=AudioLimits(max_audio_s=100, max_decoded_s=190))
    broken = LONG[: len(LONG) // 2]

    for _ in range(3):
        assert (await client.post("/compare", files={"file1": LONG, "file2": broken})).status_code == 400
        assert (await client.post("/compare", files={"file1": LONG, "file2": LONG})).status_code == 200
        analyzer.error = Overloaded("the model's queue is full")
        assert (await client.post("/detect-language", content=LONG)).status_code == 503
        analyzer.error = None


async def test_a_recording_of_a_batch_is_released_when_its_line_is_answered(client_of: Any) -> None:
    client = client_of(limits=AudioLimits(max_audio_s=100, max_decoded_s=400))

    response = await client.post("/v1/batch", files=[("file", (str(n), LONG)) for n in range(9)])

    lines = [json.loads(line) for line in response.text.splitlines()]
    assert [line for line in lines if "answer" not in line] == []
    assert len(lines) == 9


@pytest.mark.parametrize("kind", ["FLAC", "mp3", "adts"])
@pytest.mark.parametrize("seconds", [1, 59, 61, 130, 300])
async def test_a_reservation_decodes_like_decode_alone(kind: str, seconds: int) -> None:
    limits = AudioLimits()
    data = silence(seconds, kind)
    budget = DecodedAudioBudget(limits)
    reservation = Reservation(budget)

    waveform = (await reservation.decode(ThreadDecoder(limits), data)).waveform

    np.testing.assert_array_equal(waveform, decode(data, limits))
    reservation.close()
    assert_all_released(budget, limits)


class Observed(ThreadDecoder):
    """Decodes, and calls functions at each progress and once at the end."""

    def __init__(
        self,
        limits: AudioLimits,
        at_progress: Callable[[float], None] = lambda _: None,
        at_end: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        super().__init__(limits)
        self._at_progress = at_progress
        self._at_end = at_end

    async def decode(self, data: bytes, channel: int | None, on_progress: OnProgress) -> Recording:
        def report(seconds: float) -> None:
            on_progress(seconds)
            self._at_progress(seconds)

        recording = await super().decode(data, channel, report)
        if self._at_end is not None:
            await self._at_end()
        return recording


@pytest.mark.parametrize("kind", ["FLAC", "mp3"])
async def test_the_reservation_grows_with_the_audio_decoded_so_far(kind: str) -> None:
    limits = AudioLimits(max_audio_s=1000, max_decoded_s=1000)
    budget = DecodedAudioBudget(limits)
    reported_s: list[float] = []

    def record(seconds: float) -> None:
        reported_s.append(seconds)
        assert free_s(budget) == pytest.approx(1000 - seconds, abs=1e-3)

    recording = await Reservation(budget).decode(Observed(limits, record), silence(300, kind))

    assert reported_s == sorted(reported_s)
    assert len(reported_s) == 1 if kind == "FLAC" else len(reported_s) > 50
    assert free_s(budget) == 1000 - len(recording.waveform) / SAMPLE_RATE_HZ


async def test_a_reservation_closed_during_decoding_is_released_when_it_ends() -> None:
    limits = AudioLimits(max_audio_s=100, max_decoded_s=100)
    budget = DecodedAudioBudget(limits)
    reservation = Reservation(budget)
    decoded, resume = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        decoded.set()
        await resume.wait()

    work = asyncio.create_task(reservation.decode(Observed(limits, at_end=wait), LONG))
    await asyncio.wait_for(decoded.wait(), 10)
    reservation.close()
    free_during_decoding_s = free_s(budget)
    resume.set()
    await work

    assert free_during_decoding_s == 10
    assert_all_released(budget, limits)


async def test_a_caller_that_leaves_stops_the_thread_and_releases_its_reservation() -> None:
    limits = AudioLimits(max_audio_s=1000, max_decoded_s=1000)
    budget = DecodedAudioBudget(limits)
    reported_s: list[float] = []

    def record(seconds: float) -> None:
        reported_s.append(seconds)
        loop.call_soon_threadsafe(work.cancel)
        assert left.wait(10)

    loop, left = asyncio.get_running_loop(), threading.Event()
    work = asyncio.create_task(Reservation(budget).decode(Observed(limits, record), silence(300, "mp3")))
    await until(lambda: bool(reported_s) and work.cancelling() > 0)
    left.set()
    with pytest.raises(asyncio.CancelledError):
        await work

    assert len(reported_s) == 1
    assert_all_released(budget, limits)


async def test_a_refused_recording_reserves_nothing() -> None:
    limits = AudioLimits(max_audio_s=80, max_decoded_s=100)
    budget = DecodedAudioBudget(limits)
    reservation, decoder = Reservation(budget), ThreadDecoder(limits)

    with pytest.raises(AudioTooLong):
        await reservation.decode(decoder, LONG)
    with pytest.raises(CorruptAudio):
        await reservation.decode(decoder, silence(70)[:500])
    budget.acquire(40 * SAMPLE_RATE_HZ, 40)
    with pytest.raises(Overloaded):
        await reservation.decode(decoder, silence(70))
    budget.release(40 * SAMPLE_RATE_HZ)

    assert_all_released(budget, limits)


def test_long_recordings_leave_room_for_short_ones() -> None:
    budget = DecodedAudioBudget(AudioLimits())
    hour = 3600 * SAMPLE_RATE_HZ

    for _ in range(7):
        budget.acquire(hour, 3600)
    with pytest.raises(Overloaded):
        budget.acquire(1, 301)
    for _ in range(12):
        budget.acquire(hour // 12, 300)
    with pytest.raises(Overloaded):
        budget.acquire(1, 1)


def free_s(budget: DecodedAudioBudget) -> float:
    """Return the seconds of audio that are still free."""
    return budget.free / SAMPLE_RATE_HZ


def assert_all_released(budget: DecodedAudioBudget, limits: AudioLimits) -> None:
    assert free_s(budget) == max(limits.max_audio_s, limits.max_decoded_s)
