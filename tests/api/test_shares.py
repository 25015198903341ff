"""One client cannot take every place, all memory for bodies, or all memory for decoded audio."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import clips
import httpx2
import pytest
from asgi import client_at

from config.settings import AudioLimits, GraphSettings
from deployments.api import bodies
from deployments.api.app import create_app
from deployments.api.bodies import Flow
from deployments.api.compat import voices
from deployments.api.refreshed import BURST, Refreshed
from deployments.api.shares import SharedBudget, client_of
from voxgraph.errors import InvalidOptions, Overloaded, RateLimited

WAV = clips.soundfile_bytes(clips.tone(1.0), 16_000, "WAV", "PCM_16")
ONE, OTHER, HERE = "203.0.113.7", "203.0.113.8", "127.0.0.1"


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("127.0.0.1", None),
        ("127.9.9.9", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("unknown", "0.0.0.0"),
    ],
)
def test_a_client_is_an_address_or_a_prefix(address: str, client: str | None) -> None:
    assert client_of({"client": (address, 1)}) == client
    assert client_of({"client": (address, 1), "state": {"key_name": "a"}}) == "key a"


def test_a_unix_socket_is_this_machine() -> None:
    assert client_of({"client": None}) is None


async def slow_body(wav: bytes, ends: asyncio.Event) -> AsyncIterator[bytes]:
    yield wav[:100]
    await ends.wait()
    yield wav[100:]


async def test_slow_uploads_of_one_address_leave_places_for_others(analyzer: Any) -> None:
    analyzer.max_requests = 4
    app, ends = create_app(analyzer, GraphSettings()), asyncio.Event()
    async with client_at(app, ONE) as one, client_at(app, OTHER) as other, asyncio.TaskGroup() as tasks:
        held = [
            tasks.create_task(one.post("/detect-language", content=slow_body(WAV, ends))) for _ in range(2)
        ]
        await asyncio.sleep(0.05)
        refused = await one.post("/detect-language", content=WAV)
        answered = await other.post("/detect-language", content=WAV)
        ends.set()

    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert int(refused.headers["retry-after"]) >= 1
    assert answered.status_code == 200
    assert [task.result().status_code for task in held] == [200, 200]


async def test_this_machine_may_take_every_place(analyzer: Any) -> None:
    analyzer.max_requests = 4
    app, ends = create_app(analyzer, GraphSettings()), asyncio.Event()
    async with client_at(app, HERE) as here, asyncio.TaskGroup() as tasks:
        held = [
            tasks.create_task(here.post("/detect-language", content=slow_body(WAV, ends))) for _ in range(4)
        ]
        await asyncio.sleep(0.05)
        refused = await here.post("/detect-language", content=WAV)
        ends.set()

    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert [task.result().status_code for task in held] == [200] * 4


async def test_an_upload_that_drips_is_ended_and_a_steady_one_is_not(client_of: Any) -> None:
    async def drips(pause_s: float, size: int) -> AsyncIterator[bytes]:
        for start in range(0, len(WAV), size):
            yield WAV[start : start + size]
            await asyncio.sleep(pause_s)

    client = client_of(limits=AudioLimits(min_upload_bytes_per_s=10_000, upload_grace_s=0.2))
    async with asyncio.timeout(10):
        ended = await client.post("/detect-language", content=drips(0.05, 1))
        steady = await client.post("/detect-language", content=drips(0.1, 4_000))

    assert (ended.status_code, ended.json()["code"]) == (408, "deadline_exceeded")
    assert "too slow" in ended.json()["detail"]
    assert steady.status_code == 200


async def test_bodies_have_a_budget_together(analyzer: Any) -> None:
    limits = AudioLimits(max_upload_bytes=100_000, max_gallery_bytes=100_000, max_bodies_bytes=200_000)
    app, ends = create_app(analyzer, GraphSettings(limits=limits)), asyncio.Event()
    content = WAV + bytes(60_000)

    async def late(body: bytes) -> AsyncIterator[bytes]:
        yield body[:-1]
        await ends.wait()
        yield body[-1:]

    async with client_at(app, HERE) as here, client_at(app, ONE) as one, asyncio.TaskGroup() as tasks:
        held = tasks.create_task(here.post("/detect-language", content=late(content)))
        own = tasks.create_task(one.post("/detect-language", content=late(content)))
        await asyncio.sleep(0.05)
        more = await one.post("/detect-language", content=content)
        beyond = await here.post("/detect-language", content=content)
        ends.set()
        await asyncio.wait([held, own])
        later = await here.post("/detect-language", content=content)

    assert (more.status_code, more.json()["code"]) == (429, "rate_limited")
    assert (beyond.status_code, beyond.json()["code"]) == (503, "overloaded")
    assert [task.result().status_code for task in (held, own)] == [200, 200]
    assert later.status_code == 200


async def test_what_comes_out_of_a_compressed_body_counts(analyzer: Any) -> None:
    limits = AudioLimits(max_upload_bytes=38_000, max_gallery_bytes=1024, max_bodies_bytes=1024)
    body = gzip.compress(WAV + bytes(5_000))
    app = create_app(analyzer, GraphSettings(limits=limits))
    async with client_at(app, HERE) as here:
        refused = await here.post("/detect-language", content=body, headers={"content-encoding": "gzip"})

    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")


async def test_a_recording_that_is_decoded_no_longer_counts_as_a_body(analyzer: Any) -> None:
    limits = AudioLimits(max_upload_bytes=40_000, max_gallery_bytes=1024, max_bodies_bytes=40_000)
    app = create_app(analyzer, GraphSettings(limits=limits))
    started, ends = asyncio.Event(), asyncio.Event()

    async def slow(*_: object) -> Any:
        started.set()
        await ends.wait()
        return analyzer.language

    analyzer.detect_language = slow
    async with client_at(app, HERE) as here, asyncio.TaskGroup() as tasks:
        first = tasks.create_task(here.post("/detect-language", content=WAV))
        await started.wait()
        second = tasks.create_task(here.post("/detect-language", content=WAV))
        await asyncio.sleep(0.1)
        ends.set()

    assert [task.result().status_code for task in (first, second)] == [200, 200]


def test_long_recordings_of_one_client_leave_room_for_others_and_for_short_ones() -> None:
    budget = SharedBudget(110, 0.5, kept=10)
    budget.acquire(55, "one")
    with pytest.raises(RateLimited):
        budget.acquire(1, "one")
    budget.acquire(45, "other")
    with pytest.raises(Overloaded):
        budget.acquire(1, "third")
    budget.acquire(10, "third", small=True)
    with pytest.raises(Overloaded):
        budget.acquire(1, "fourth", small=True)

    budget.release(55, "one")
    budget.acquire(40, "one")


async def test_what_nobody_reads_is_not_taken_from_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MAX_UNREAD_BYTES", 2_500)
    taken = 0

    async def connection() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": bytes(1_000), "more_body": True}

    limited = Flow()
    receive, queue = limited.from_connection(connection), asyncio.Queue[Any]()

    async def server() -> None:
        while True:
            await queue.put(await receive())

    read = limited.by_application(queue.get)
    reading = asyncio.create_task(server())
    await asyncio.sleep(0.02)
    assert taken == 3
    for _ in range(5):
        await read()
    await asyncio.sleep(0.02)
    assert taken == 8
    reading.cancel()


async def test_many_callers_at_once_cost_one_computation() -> None:
    computed = 0

    async def compute() -> int:
        nonlocal computed
        computed += 1
        await asyncio.sleep(0.01)
        return computed

    value = Refreshed(compute, lambda: 0.0)

    assert await asyncio.gather(*(value.get() for _ in range(100))) == [1] * 100
    assert [await value.get() for _ in range(10)] == [2, 3, 4, 5, 5, 5, 5, 5, 5, 5]
    assert computed == BURST


async def test_after_a_second_the_value_is_new() -> None:
    now, computed = 0.0, iter(range(100))

    async def compute() -> int:
        return next(computed)

    value = Refreshed(compute, lambda: now)
    for _ in range(BURST + 3):
        last = await value.get()
    now = 1.0

    assert (last, await value.get(), await value.get()) == (BURST - 1, BURST, BURST)


async def test_a_caller_who_leaves_does_not_end_what_others_wait_for() -> None:
    async def compute() -> int:
        await asyncio.sleep(0.05)
        return 1

    value = Refreshed(compute)
    leaver, stayer = asyncio.create_task(value.get()), asyncio.create_task(value.get())
    await asyncio.sleep(0)
    leaver.cancel()

    assert await stayer == 1


async def test_a_flood_of_health_requests_asks_the_models_a_few_times(
    client: httpx2.AsyncClient, analyzer: Any
) -> None:
    asked = 0

    async def health() -> Any:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)
        return analyzer.graph_health

    client._transport.app.state.health = Refreshed(health)  # type: ignore[attr-defined]

    answers = await asyncio.gather(*(client.get("/health") for _ in range(200)))

    assert {answer.status_code for answer in answers} == {200}
    assert asked <= BURST


async def test_livez_asks_nobody(client: httpx2.AsyncClient, analyzer: Any) -> None:
    async def fails() -> Any:
        raise RuntimeError

    analyzer.health = analyzer.state.queue = fails

    response = await client.get("/livez")

    assert (response.status_code, response.json()) == (200, {"status": "alive"})


@pytest.mark.parametrize("spelling", ["embedding", "\\u0065mbedding", "embeddin\\u0067"])
def test_the_limit_of_voices_holds_however_they_are_spelled(
    monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    monkeypatch.setattr(voices, "MAX_VOICES", 20)
    monkeypatch.setattr(voices, "MAX_OBJECTS", 40)
    voice = '{"id": %d, "' + spelling + '": []}'
    body = '{"user_embedding": [], "stored_embeddings": [' + ",".join(voice % n for n in range(60)) + "]}"

    with pytest.raises(InvalidOptions, match="more than"):
        voices.search(bytearray(body.encode()))


def test_objects_in_metadata_are_allowed_within_the_limit() -> None:
    vector = [0.1] * 192
    stored = [{"id": "a", "embedding": vector, "metadata": {"b": {"c": {}}}}]
    body = json.dumps({"user_embedding": vector, "stored_embeddings": stored})

    assert b'"is_match":true' in voices.search(bytearray(body.encode()))
