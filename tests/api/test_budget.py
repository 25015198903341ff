"""Small files of hours of silence: what is decoded of all of them together is bounded."""

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import clips
import numpy as np
import pytest

from config.settings import AudioLimits
from deployments.api import budget
from deployments.api.budget import DecodedAudioBudget, Reservation
from pipelines.audio.decoding import ProgressCallback, decode
from voxgraph.errors import AudioTooLong, CorruptAudio, Overloaded
from voxgraph.results import SAMPLE_RATE_HZ, Waveform


def silence(seconds: float, kind: str = "FLAC") -> bytes:
    """A few bytes for each second."""
    samples = np.zeros((int(seconds * SAMPLE_RATE_HZ), 1), np.float32)
    if kind == "FLAC":
        return clips.soundfile_bytes(samples, SAMPLE_RATE_HZ, "FLAC")
    return clips.ffmpeg_bytes(samples, SAMPLE_RATE_HZ, kind, {"adts": "aac", "mp3": "libmp3lame"}[kind])


LONG = silence(90)


class Hand:
    """Answers nothing before it is open, and counts what it has in hand."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.seconds = 0.0
        self.most_s = 0.0

    async def __call__(self, waveform: Waveform) -> None:
        self.seconds += len(waveform) / SAMPLE_RATE_HZ
        self.most_s = max(self.most_s, self.seconds)
        try:
            await self.opened.wait()
        finally:
            self.seconds -= len(waveform) / SAMPLE_RATE_HZ


@pytest.fixture
async def hand(analyzer: Any) -> Hand:
    """Holds every recording whose language is asked for."""
    hand, answer = Hand(), analyzer.detect_language

    async def held(waveform: Waveform) -> Any:
        await hand(waveform)
        return await answer(waveform)

    analyzer.detect_language = held
    return hand


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.01)


async def test_recordings_that_are_longer_together_than_may_be_in_hand_wait_for_others_to_end(
    client_of: Any, hand: Hand
) -> None:
    client = client_of(limits=AudioLimits(max_audio_s=100, max_decoded_s=150))
    first = asyncio.create_task(client.post("/detect-language", content=LONG))
    await until(lambda: hand.seconds > 0)

    refused = await asyncio.wait_for(client.post("/detect-language", content=LONG), 30)
    shorter = asyncio.create_task(client.post("/detect-language", content=silence(50)))
    await until(lambda: hand.seconds == 140)
    hand.opened.set()

    assert len(LONG) < 20_000
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert int(refused.headers["retry-after"]) >= 1
    assert [(await task).status_code for task in (first, shorter)] == [200, 200]
    for _ in range(3):
        assert (await client.post("/detect-language", content=LONG)).status_code == 200


async def test_of_many_at_once_no_more_are_decoded_than_may_be_in_hand(client_of: Any, hand: Hand) -> None:
    client = client_of(limits=AudioLimits(max_audio_s=100, max_decoded_s=250))
    asked = [asyncio.create_task(client.post("/detect-language", content=LONG)) for _ in range(12)]
    await until(lambda: sum(task.done() for task in asked) >= 10)
    hand.opened.set()

    statuses = sorted([(await task).status_code for task in asked])

    assert statuses[0] == 200
    assert statuses[-10:] == [503] * 10
    assert 90 <= hand.most_s <= 250


async def test_what_is_longer_than_any_may_be_is_too_large_not_too_much_for_now(client_of: Any) -> None:
    client = client_of(limits=AudioLimits(max_audio_s=80, max_decoded_s=100))

    response = await client.post("/detect-language", content=LONG)

    assert (response.status_code, response.json()["code"]) == (413, "audio_too_long")
    assert "80 s" in response.json()["detail"]


async def test_the_longest_recording_is_always_taken(client_of: Any) -> None:
    client = client_of(limits=AudioLimits(max_audio_s=90, max_decoded_s=1))

    assert (await client.post("/detect-language", content=LONG)).status_code == 200


async def test_a_quick_recording_is_taken_beside_all_others(client_of: Any, hand: Hand) -> None:
    client = client_of(limits=AudioLimits(max_audio_s=90, max_decoded_s=90))
    first = asyncio.create_task(client.post("/detect-language", content=LONG))
    await until(lambda: hand.seconds > 0)
    quick = clips.soundfile_bytes(clips.tone(1.0), SAMPLE_RATE_HZ, "WAV", "PCM_16")

    refused = await asyncio.wait_for(client.post("/detect-language", content=silence(1)), 30)
    taken = asyncio.create_task(client.post("/detect-language", content=quick))
    await until(lambda: hand.seconds == 91)
    hand.opened.set()

    assert refused.status_code == 503
    assert [(await task).status_code for task in (first, taken)] == [200, 200]


async def test_a_request_that_fails_gives_back_what_it_had(client_of: Any, analyzer: Any) -> None:
    client = client_of(limits=AudioLimits(max_audio_s=100, max_decoded_s=190))
    broken = LONG[: len(LONG) // 2]

    for _ in range(3):
        assert (await client.post("/compare", files={"file1": LONG, "file2": broken})).status_code == 400
        assert (await client.post("/compare", files={"file1": LONG, "file2": LONG})).status_code == 200
        analyzer.error = Overloaded("the model's queue is full")
        assert (await client.post("/detect-language", content=LONG)).status_code == 503
        analyzer.error = None


async def test_a_recording_of_many_counts_until_its_line_is_answered(client_of: Any) -> None:
    client = client_of(limits=AudioLimits(max_audio_s=100, max_decoded_s=400))

    response = await client.post("/v1/batch", files=[("file", (str(n), LONG)) for n in range(9)])

    lines = [json.loads(line) for line in response.text.splitlines()]
    assert [line for line in lines if "answer" not in line] == []
    assert len(lines) == 9


@pytest.mark.parametrize("kind", ["FLAC", "mp3", "adts"])
@pytest.mark.parametrize("seconds", [1, 59, 61, 130, 300])
def test_a_share_gives_what_decoding_alone_gives(kind: str, seconds: int) -> None:
    limits = AudioLimits()
    data = silence(seconds, kind)
    pool = DecodedAudioBudget(limits)
    share = Reservation(pool)

    waveform = share.decode(data, limits)

    np.testing.assert_array_equal(waveform, decode(data, limits))
    share.close()
    assert_is_whole(pool, limits)


@pytest.mark.parametrize("kind", ["FLAC", "mp3"])
def test_what_is_decoded_so_far_is_taken_and_no_more(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = AudioLimits(max_audio_s=1000, max_decoded_s=1000)
    pool = DecodedAudioBudget(limits)
    told_s: list[float] = []

    def watched(data: bytes, limits: AudioLimits, told: ProgressCallback) -> Waveform:
        def tell(seconds: float) -> None:
            told(seconds)
            told_s.append(seconds)
            assert left_s(pool) == pytest.approx(1000 - seconds, abs=1e-3)

        return decode(data, limits, tell)

    monkeypatch.setattr(budget, "decode", watched)
    waveform = Reservation(pool).decode(silence(300, kind), limits)

    assert told_s == sorted(told_s)
    assert len(told_s) == 1 if kind == "FLAC" else len(told_s) > 50
    assert left_s(pool) == 1000 - len(waveform) / SAMPLE_RATE_HZ


def test_a_share_that_is_closed_while_its_thread_decodes_is_given_back_when_that_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = AudioLimits(max_audio_s=100, max_decoded_s=100)
    pool = DecodedAudioBudget(limits)
    share = Reservation(pool)
    begun, go_on = threading.Event(), threading.Event()

    def waits(data: bytes, limits: AudioLimits, told: ProgressCallback) -> Waveform:
        waveform = decode(data, limits, told)
        begun.set()
        assert go_on.wait(10)
        return waveform

    monkeypatch.setattr(budget, "decode", waits)
    thread = threading.Thread(target=share.decode, args=(LONG, limits))
    thread.start()
    assert begun.wait(10)
    share.close()
    while_it_decodes_s = left_s(pool)
    go_on.set()
    thread.join(10)

    assert while_it_decodes_s == 10
    assert_is_whole(pool, limits)


def test_a_recording_that_is_refused_takes_nothing() -> None:
    limits = AudioLimits(max_audio_s=80, max_decoded_s=100)
    pool = DecodedAudioBudget(limits)
    share = Reservation(pool)

    with pytest.raises(AudioTooLong):
        share.decode(LONG, limits)
    with pytest.raises(CorruptAudio):
        share.decode(silence(70)[:500], limits)
    pool.take(40 * SAMPLE_RATE_HZ)
    with pytest.raises(Overloaded):
        share.decode(silence(70), limits)
    pool.give_back(40 * SAMPLE_RATE_HZ)

    assert_is_whole(pool, limits)


def left_s(pool: DecodedAudioBudget) -> float:
    """Seconds of audio that may still be taken."""
    return pool._left / SAMPLE_RATE_HZ


def assert_is_whole(pool: DecodedAudioBudget, limits: AudioLimits) -> None:
    assert left_s(pool) == max(limits.max_audio_s, limits.max_decoded_s)
