"""What an ingress replica does where what all of them share is slow or gone."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from plain_handles import handle

from deployments import cache, shared
from deployments.cache import Cache, Put
from deployments.calls import Deadline
from deployments.shared import Shared, SharedHandles
from deployments.statistics import Counts, Statistics
from pipelines.errors import DeadlineExceeded


class Asked:
    """Counts how often an answer is computed."""

    def __init__(self, cache: Any, seconds: float) -> None:
        self.times = 0
        self._seconds = seconds
        self._shared = Shared(SharedHandles(cache, handle(None), handle(Statistics())), place_deadline_s=1.0)

    async def __call__(self, deadline_s: float = 10.0) -> str:
        return await self._shared.cached("a", "language", self._compute, Deadline.after(deadline_s))

    async def _compute(self) -> str:
        self.times += 1
        await asyncio.sleep(self._seconds)
        return "en"


def gone() -> Any:
    """A handle whose router finds no replica."""

    def remote(*_arguments: object) -> "asyncio.Future[None]":
        handle.asked += 1
        return asyncio.get_running_loop().create_future()

    handle = SimpleNamespace(take=SimpleNamespace(remote=remote), asked=0)
    handle.options = lambda **_: handle
    return handle


async def test_an_answer_is_computed_where_the_cache_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "CACHE_ANSWERS_S", 0.05)
    asked = Asked(gone(), seconds=0.0)

    assert await asyncio.wait_for(asked(), 5) == "en"
    assert asked.times == 1


async def test_a_cache_that_is_gone_costs_one_question_its_time_and_is_asked_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared, "CACHE_ANSWERS_S", 0.05)
    monkeypatch.setattr(shared, "CACHE_GONE_S", 0.3)
    cache = gone()
    asked = Asked(cache, seconds=0.0)

    await asyncio.gather(*(asyncio.wait_for(asked(), 5) for _ in range(2)))
    for _ in range(3):
        await asyncio.wait_for(asked(), 5)
    assert cache.asked == 2

    await asyncio.sleep(0.3)
    await asyncio.wait_for(asked(), 5)
    assert cache.asked == 3
    assert asked.times == 6


async def test_what_is_computed_for_longer_than_the_cache_waits_is_computed_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cache, "LOOK_S", 0.05)
    asked = Asked(handle(Cache()), seconds=0.3)

    assert await asyncio.gather(*(asked() for _ in range(5))) == ["en"] * 5
    assert asked.times == 1


async def test_an_answer_too_large_for_the_direct_way_is_kept_and_fetched_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared, "DIRECT_BYTES", 4)
    kept = Cache()
    asked = Asked(handle(kept), seconds=0.1)

    assert await asyncio.gather(*(asked() for _ in range(3))) == ["en"] * 3
    assert await asked() == "en"
    assert asked.times == 1
    assert (await kept.take("a")).apart


class CountedCache(Cache):
    puts = 0

    async def put(self, *puts: Put) -> None:
        self.puts += 1
        await super().put(*puts)


@pytest.mark.parametrize(("pause_s", "puts"), [(0.0, 0), (0.1, 1)])
async def test_an_answer_goes_to_the_cache_with_the_next_question_or_a_moment_later(
    pause_s: float, puts: int
) -> None:
    cache = CountedCache()
    asked = Asked(handle(cache), seconds=0.0)

    await asked()
    await asyncio.sleep(pause_s)
    await asked()

    assert cache.puts == puts
    assert asked.times == 1


async def test_who_waits_for_another_gives_up_at_its_own_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LOOK_S", 0.05)
    asked = Asked(handle(Cache()), seconds=1.0)
    first = asyncio.create_task(asked())
    await asyncio.sleep(0.01)

    with pytest.raises(DeadlineExceeded):
        await asked(deadline_s=0.2)
    assert await first == "en"
    assert asked.times == 1


class SlowStatistics(Statistics):
    async def add(self, counts: Counts) -> None:
        await asyncio.sleep(0.3)
        await super().add(counts)


async def test_what_is_counted_while_a_report_is_under_way_is_reported_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared, "REPORTED_EVERY_S", 0.1)
    statistics = SlowStatistics()
    counting = Shared(SharedHandles(handle(Cache()), handle(None), handle(statistics)), place_deadline_s=1.0)

    counting.observe("/diarize", 200, 1.0)
    await asyncio.sleep(2 * shared.REPORTED_EVERY_S)
    counting.observe("/diarize", 200, 1.0)
    await asyncio.sleep(1.0)

    assert (await statistics.counts()).requests["/diarize"].number == 2
