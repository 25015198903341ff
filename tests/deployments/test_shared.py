"""What an ingress replica does where what all of them share is slow or gone."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from plain_handles import handle

from deployments import cache, shared
from deployments.cache import Cache
from deployments.calls import Deadline
from deployments.shared import Shared, SharedHandles
from deployments.statistics import Statistics
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
        return asyncio.get_running_loop().create_future()

    return SimpleNamespace(take=SimpleNamespace(remote=remote))


async def test_an_answer_is_computed_where_the_cache_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "CACHE_ANSWERS_S", 0.05)
    asked = Asked(gone(), seconds=0.0)

    assert await asyncio.wait_for(asked(), 5) == "en"
    assert asked.times == 1


async def test_what_is_computed_for_longer_than_the_cache_waits_is_computed_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cache, "LOOK_S", 0.05)
    asked = Asked(handle(Cache()), seconds=0.3)

    assert await asyncio.gather(*(asked() for _ in range(5))) == ["en"] * 5
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
