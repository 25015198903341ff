"""The graph's cache, without Ray."""

import asyncio

from deployments.cache import Cache, Put, Taken
from deployments.leases import Leases


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def lease_of(cache: Cache, key: str) -> str:
    lease = (await cache.take(key)).lease
    assert lease is not None
    return lease


async def filled(cache: Cache, *keys: str) -> None:
    for key in keys:
        await cache.put(Put(await lease_of(cache, key), f"answer to {key}"))


async def test_what_was_put_is_taken_and_counted() -> None:
    cache = Cache()
    await filled(cache, "a")

    taken = await cache.take("a")

    assert (taken.value, taken.lease) == ("answer to a", None)
    info = await cache.info()
    assert (info.hits, info.misses, info.maxsize, info.currsize) == (1, 1, 100, 1)


async def test_who_asks_for_what_is_being_computed_waits_for_it() -> None:
    cache = Cache()
    lease = await lease_of(cache, "a")
    waiting = [asyncio.create_task(cache.take("a")) for _ in range(3)]
    await asyncio.sleep(0.01)
    assert not any(task.done() for task in waiting)

    await cache.put(Put(lease, 7))

    assert [(await task).value for task in waiting] == [7, 7, 7]
    assert (await cache.info()).misses == 1


async def test_after_a_failure_exactly_one_of_those_who_wait_computes() -> None:
    cache = Cache()
    lease = await lease_of(cache, "a")
    waiting = [asyncio.create_task(cache.take("a")) for _ in range(3)]
    await asyncio.sleep(0.01)

    await cache.give_up(lease)
    done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)

    (leader,) = [task.result() for task in done]
    assert leader.lease is not None
    await cache.put(Put(leader.lease, 8))
    assert [(await task).value for task in pending] == [8, 8]


async def test_a_lease_that_nobody_renews_lapses_and_the_next_computes() -> None:
    clock = Clock()
    cache = Cache(Leases(10, clock))
    dead = await lease_of(cache, "a")
    waiting = asyncio.create_task(cache.take("a"))
    await asyncio.sleep(0.01)
    clock.now = 11

    assert (await asyncio.wait_for(waiting, 5)).pending
    assert (await cache.take("a")).lease not in (None, dead)


async def test_a_renewed_lease_does_not_lapse() -> None:
    clock = Clock()
    cache = Cache(Leases(10, clock))
    lease = await lease_of(cache, "a")
    clock.now = 9
    await cache.renew(lease)
    clock.now = 18
    waiting = asyncio.create_task(cache.take("a"))
    await asyncio.sleep(0.01)

    await cache.put(Put(lease, 1))

    assert (await waiting).value == 1


async def test_a_caller_who_stops_waiting_leaves_no_trace() -> None:
    cache = Cache()
    lease = await lease_of(cache, "a")
    waiting = asyncio.create_task(cache.take("a"))
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    await cache.put(Put(lease, 1))

    assert (await cache.take("a")).value == 1


async def test_answers_come_along_with_a_question() -> None:
    cache = Cache()
    leases = [await lease_of(cache, key) for key in "ab"]
    waiting = asyncio.create_task(cache.take("a"))
    await asyncio.sleep(0.01)

    taken = await cache.take("b", *(Put(lease, number) for number, lease in enumerate(leases)))

    assert taken == Taken(1)
    assert await waiting == Taken(0)


async def test_what_is_fetched_apart_is_not_in_the_answer() -> None:
    cache = Cache()
    lease = await lease_of(cache, "a")
    waiting = asyncio.create_task(cache.take("a"))
    await asyncio.sleep(0.01)

    await cache.put(Put(lease, "long", True))

    assert await waiting == await cache.take("a") == Taken(apart=True)
    assert await cache.fetch("a") == "long"
    assert await cache.fetch("b") is None


async def test_the_least_recently_used_goes_first() -> None:
    cache = Cache()
    await cache.reconfigure({"max_entries": 2})
    await filled(cache, "a", "b")
    await cache.take("a")

    await filled(cache, "c")

    assert (await cache.take("a")).value == "answer to a"
    assert (await cache.take("b")).lease is not None


async def test_a_smaller_size_takes_effect_at_once() -> None:
    cache = Cache()
    await filled(cache, *"abcde")

    await cache.reconfigure({"max_entries": 2})

    assert (await cache.info()).currsize == 2
    assert (await cache.take("e")).value == "answer to e"


async def test_a_cache_of_nothing_still_computes_identical_requests_once_in_flight() -> None:
    cache = Cache()
    await cache.reconfigure({"max_entries": 0})
    lease = await lease_of(cache, "a")
    waiting = asyncio.create_task(cache.take("a"))
    await asyncio.sleep(0.01)

    await cache.put(Put(lease, 5))

    assert (await waiting).value == 5
    assert (await cache.take("a")).lease is not None


async def test_clearing_tells_what_there_was_and_counts_anew() -> None:
    cache = Cache()
    await filled(cache, "a", "b")
    await cache.take("a")

    before = await cache.clear()

    assert (before.hits, before.misses, before.currsize) == (1, 2, 2)
    after = await cache.info()
    assert (after.hits, after.misses, after.currsize) == (0, 0, 0)
    assert (await cache.take("a")).lease is not None
