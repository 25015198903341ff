"""What an ingress replica does where what all of them share is slow or gone."""

import asyncio
import gc
from types import SimpleNamespace
from typing import Any

import pytest
from plain_handles import handle

from deployments import cache, shared
from deployments.cache import Cache, Put, Taken
from deployments.calls import Deadline
from deployments.shared import Shared, SharedHandles
from deployments.statistics import Counts, Statistics
from pipelines.errors import DeadlineExceeded, InferenceError


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

    def remote(*_arguments: object, **_named: object) -> "asyncio.Future[None]":
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


@pytest.mark.parametrize(("pause_s", "puts"), [(0.0, 0), (0.2, 1)])
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


async def test_answers_of_many_bytes_wait_for_no_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared, "DIRECT_BYTES", 50)
    monkeypatch.setattr(shared, "PUT_WITHIN_S", 60.0)
    cache = CountedCache()
    replica = ingress(cache)

    for key in "abcd":  # Of 17 bytes each.
        await ask(replica, key, Computed(seconds=0.0))
    await asyncio.sleep(0)
    replica._put_soon([Put("a lease", b"0" * 51)])
    await asyncio.sleep(0.05)

    assert cache.puts == 1
    assert replica._puts == []


class HangingCache(Cache):
    """Keeps one question until it is cancelled."""

    hangs = False

    async def take(self, key: str, *puts: Put, wait: bool = True) -> Taken:
        if self.hangs:
            self.hangs = False
            await asyncio.sleep(60)
        return await super().take(key, *puts, wait=wait)


async def test_who_leaves_before_the_cache_has_spoken_loses_nobody_elses_answer() -> None:
    cache = HangingCache()
    replica, again = ingress(cache), Computed()
    await ask(replica, "a", Computed(seconds=0.0))
    await asyncio.sleep(0)
    cache.hangs = True
    leaving = asyncio.create_task(ask(replica, "b", Computed(seconds=60.0)))
    await asyncio.sleep(0.02)

    leaving.cancel()
    await asyncio.wait([leaving])

    assert await asyncio.wait_for(ask(replica, "a", again), 2.0) == "en"
    assert again.log == []


async def test_what_is_computed_while_the_cache_is_asked_is_timed_from_its_beginning() -> None:
    replica = ingress(SlowCache())

    await ask(replica, "a", Computed(seconds=0.3))

    assert replica._inferences["language"].seconds == pytest.approx(0.3, abs=0.08)


async def test_who_waits_for_another_gives_up_at_its_own_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LOOK_S", 0.05)
    asked = Asked(handle(Cache()), seconds=1.0)
    first = asyncio.create_task(asked())
    await asyncio.sleep(0.01)

    with pytest.raises(DeadlineExceeded):
        await asked(deadline_s=0.2)
    assert await first == "en"
    assert asked.times == 1


class SlowCache(Cache):
    """Answers a moment after it is asked."""

    async def take(self, key: str, *puts: Put, wait: bool = True) -> Taken:
        await asyncio.sleep(0.2)
        return await super().take(key, *puts, wait=wait)


class Computed:
    """Notes when it is begun and how it ends."""

    def __init__(self, seconds: float = 0.2, error: Exception | None = None) -> None:
        self.log: list[str] = []
        self._seconds, self._error = seconds, error

    async def __call__(self) -> str:
        self.log.append("begun")
        try:
            await asyncio.sleep(self._seconds)
        except asyncio.CancelledError:
            self.log.append("cancelled")
            raise
        if self._error is not None:
            raise self._error
        self.log.append("done")
        return "en"


def ingress(cache: Cache) -> Shared:
    return Shared(SharedHandles(handle(cache), handle(None), handle(Statistics())), place_deadline_s=1.0)


async def ask(replica: Shared, key: str, computed: Computed) -> str:
    return await replica.cached(key, "language", computed, Deadline.after(10.0))


async def test_a_new_question_is_computed_while_the_cache_is_asked() -> None:
    computed, started = Computed(), asyncio.get_running_loop().time()

    assert await ask(ingress(SlowCache()), "a", computed) == "en"

    assert asyncio.get_running_loop().time() - started < 0.35
    assert computed.log == ["begun", "done"]


async def test_a_question_that_was_asked_before_waits_for_the_cache() -> None:
    replica, again = ingress(SlowCache()), Computed()
    await ask(replica, "a", Computed())

    assert await ask(replica, "a", again) == "en"

    assert again.log == []


async def test_what_another_replica_has_answered_is_cancelled_and_guessed_no_more_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared, "GUESSES_AGAIN_S", 1.0)
    cache = SlowCache()
    one, other = ingress(cache), ingress(cache)
    for key in "ab":
        await ask(one, key, Computed())
    await asyncio.sleep(0.1)
    computed = [Computed(seconds=5.0) for _ in range(2)]

    assert [await ask(other, key, made) for key, made in zip("ab", computed, strict=True)] == ["en", "en"]
    await asyncio.sleep(0)

    assert [made.log for made in computed] == [["begun", "cancelled"], []]
    await asyncio.sleep(1.0)
    started = asyncio.get_running_loop().time()
    await ask(other, "c", Computed())
    assert asyncio.get_running_loop().time() - started < 0.35


async def test_what_another_replica_computes_is_waited_for_and_not_computed_here() -> None:
    cache = Cache()
    one, other = ingress(cache), ingress(cache)
    first = asyncio.create_task(ask(one, "a", Computed(seconds=0.5)))
    await asyncio.sleep(0.1)
    computed = Computed(seconds=0.2)

    assert await ask(other, "a", computed) == "en"

    assert computed.log == ["begun", "cancelled"]
    assert await first == "en"


async def test_what_was_let_go_is_computed_where_the_other_fails() -> None:
    cache = Cache()
    one, other = ingress(cache), ingress(cache)
    failing = Computed(seconds=0.3, error=InferenceError("It failed."))
    first = asyncio.create_task(ask(one, "a", failing))
    await asyncio.sleep(0.1)
    computed = Computed(seconds=0.5)

    assert await ask(other, "a", computed) == "en"

    assert computed.log == ["begun", "cancelled", "begun", "done"]
    with pytest.raises(InferenceError):
        await first


async def test_a_failure_before_the_cache_answers_is_raised_and_the_next_may_compute() -> None:
    replica, loop_errors = ingress(SlowCache()), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: loop_errors.append(context))

    with pytest.raises(InferenceError):
        await ask(replica, "a", Computed(seconds=0.0, error=InferenceError("It failed.")))
    assert await ask(replica, "a", Computed()) == "en"

    gc.collect()
    assert loop_errors == []


async def test_who_leaves_takes_what_was_begun_along() -> None:
    computed = Computed(seconds=5.0)
    asked = asyncio.create_task(ask(ingress(SlowCache()), "a", computed))
    await asyncio.sleep(0.1)

    asked.cancel()
    await asyncio.wait([asked])
    await asyncio.sleep(0)

    assert computed.log == ["begun", "cancelled"]


async def test_as_many_questions_are_known_as_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "KNOWN_QUESTIONS", 2)
    replica = ingress(Cache())

    for key in "abac":
        await ask(replica, key, Computed(seconds=0.0))

    assert list(replica._known) == ["a", "c"]


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
