"""``Retry-After`` follows from how long recordings take and how many clients have been refused."""

import asyncio
from typing import Any

import clips
import httpx2

from deployments.api.pace import MAX_RETRY_AFTER_S, Pace
from voxgraph.errors import Overloaded

WAV = clips.soundfile_bytes(clips.tone(1.0), 16_000, "WAV", "PCM_16")


def test_before_any_recording_it_is_a_second() -> None:
    assert Pace().refuse(128) == 1


def test_the_first_refused_client_waits_for_the_next_place() -> None:
    pace = Pace()
    pace.finish(20.0)

    assert pace.refuse(2) == 10


def test_clients_refused_at_once_come_back_one_after_the_other() -> None:
    pace = Pace()
    pace.finish(2.0)

    assert [pace.refuse(4) for _ in range(8)] == [1, 1, 2, 2, 3, 3, 4, 4]


def test_finished_recordings_shorten_the_wait() -> None:
    pace = Pace()
    pace.finish(2.0)
    for _ in range(20):
        pace.refuse(1)
    for _ in range(15):
        pace.finish(2.0)

    assert pace.refuse(1) == 12


def test_it_follows_a_change_of_the_time_and_is_bounded() -> None:
    pace = Pace()
    for _ in range(100):
        pace.finish(30.0)

    assert pace.refuse(1) == 30
    assert max(pace.refuse(1) for _ in range(5)) == MAX_RETRY_AFTER_S


async def test_a_refused_recording_is_told_when_a_place_will_be_free(
    client: httpx2.AsyncClient, analyzer: Any
) -> None:
    async def slow(*_: object) -> None:
        await asyncio.sleep(1.2)
        raise Overloaded("The queue of the model is full.")

    analyzer.max_requests, analyzer.detect_language = 1, slow
    busy = await client.post("/detect-language", content=WAV)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(client.post("/detect-language", content=WAV))
        await asyncio.sleep(0.05)
        refused = [await client.post("/detect-language", content=WAV) for _ in range(2)]

    assert [answer.status_code for answer in (busy, *refused)] == [503, 503, 503]
    first, second = (int(answer.headers["retry-after"]) for answer in refused)
    # The second waits for two recordings of 1.2 s, or of somewhat more on a busy machine.
    assert 2 <= first < second <= 2 * first
