"""Requests without a body of one client come one after the other; others do not wait for them."""

import asyncio
import time

import pytest
from asgi import client_at
from clock import Clock
from fake_analyzer import FakeAnalyzer

from config.settings import GraphSettings
from deployments.api import leaky_buckets
from deployments.api.app import create_app
from deployments.api.read_rate import AT_ONCE, LONGEST_WAIT_S, ReadRate
from voxgraph.errors import RateLimited


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_some_come_at_once_and_more_at_the_rate(clock: Clock) -> None:
    rate = ReadRate(10, clock)

    assert [rate.wait_s("a") for _ in range(AT_ONCE)] == [0.0] * AT_ONCE
    assert [rate.wait_s("a") for _ in range(3)] == pytest.approx([0.1, 0.2, 0.3])
    assert rate.wait_s("b") == 0.0


def test_a_pause_makes_up_for_as_many_as_come_at_once_and_no_more(clock: Clock) -> None:
    rate = ReadRate(10, clock)
    waits = [rate.wait_s("a") for _ in range(AT_ONCE + 5)]
    clock.now += waits[-1]
    assert rate.wait_s("a") == pytest.approx(0.1)

    clock.now += 3600
    assert [rate.wait_s("a") for _ in range(AT_ONCE + 1)] == pytest.approx([0.0] * AT_ONCE + [0.1])


def test_what_would_wait_long_is_refused_and_delays_nothing(clock: Clock) -> None:
    rate = ReadRate(10, clock)
    waits = [rate.wait_s("a") for _ in range(AT_ONCE + int(10 * LONGEST_WAIT_S))]
    assert waits[-1] == pytest.approx(LONGEST_WAIT_S)

    for _ in range(1000):
        with pytest.raises(RateLimited):
            rate.wait_s("a")

    clock.now += 0.11
    assert rate.wait_s("a") <= LONGEST_WAIT_S


def test_programs_on_this_machine_and_graphs_without_a_limit_do_not_wait(clock: Clock) -> None:
    limited, free = ReadRate(1, clock), ReadRate(0, clock)

    assert [limited.wait_s(None) for _ in range(1000)] == [0.0] * 1000
    assert [free.wait_s("a") for _ in range(1000)] == [0.0] * 1000


def test_clients_are_forgotten_by_number(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaky_buckets, "MOST_COUNTED", 3)
    rate = ReadRate(1, clock)
    for _ in range(AT_ONCE):
        rate.wait_s("first")
    for name in "abc":
        rate.wait_s(name)

    assert rate.wait_s("first") == 0.0


async def test_a_flood_waits_and_another_client_does_not() -> None:
    settings = GraphSettings.model_validate({"decoders": {"processes": 0}, "limits": {"max_reads_per_s": 20}})
    app = create_app(FakeAnalyzer(), settings)
    async with client_at(app, "192.0.2.7") as far, client_at(app, "192.0.2.8") as other:
        started = time.monotonic()
        flood = [asyncio.create_task(far.get("/livez")) for _ in range(AT_ONCE + 10)]
        await asyncio.sleep(0.1)
        before = time.monotonic()
        answered = await other.get("/livez")
        waited_s = time.monotonic() - before
        statuses = [(await each).status_code for each in flood]
        took_s = time.monotonic() - started

        refused = [(await each) for each in [asyncio.create_task(far.get("/livez")) for _ in range(200)]]

    assert (answered.status_code, statuses) == (200, [200] * len(statuses))
    assert took_s >= 0.45 > waited_s
    (last,) = {each.status_code for each in refused} - {200}
    assert last == 429
