"""Results are cached, and identical questions in flight are computed once, in one ingress replica."""

import asyncio

import numpy as np
import pytest

from config.settings import IngressTunables
from deployments.state.result_cache import ResultCache, cache_key
from deployments.state.sizes import estimated_bytes
from voxgraph.errors import InferenceError
from voxgraph.results import Embedding, SpeakerResult


class Computed:
    """Computes an answer or fails after some seconds, and logs its steps."""

    def __init__(self, seconds: float = 0.05, error: Exception | None = None) -> None:
        self._seconds, self._error = seconds, error
        self.log: list[str] = []

    async def __call__(self) -> str:
        self.log.append("started")
        try:
            await asyncio.sleep(self._seconds)
            if self._error is not None:
                raise self._error
        except asyncio.CancelledError:
            self.log.append("cancelled")
            raise
        self.log.append("done")
        return "en"


async def test_a_result_is_computed_once_and_cached() -> None:
    cache, computed = ResultCache(10, 1_000), Computed()

    assert await cache.get_or_compute("a", computed) == ("en", False)
    assert await cache.get_or_compute("a", computed) == ("en", True)

    assert computed.log == ["started", "done"]
    assert len(cache) == 1


@pytest.mark.parametrize("max_entries", [10, 0])
async def test_identical_questions_in_flight_are_computed_once(max_entries: int) -> None:
    cache, computed = ResultCache(max_entries, 1_000), Computed()

    found = await asyncio.gather(*(cache.get_or_compute("a", computed) for _ in range(20)))

    assert sorted(hit for _, hit in found) == [False, *[True] * 19]
    assert {result for result, _ in found} == {"en"}
    assert computed.log == ["started", "done"]
    await asyncio.sleep(0)
    assert len(cache) == min(max_entries, 1)
    assert not cache._pending


async def test_different_questions_do_not_wait_for_each_other() -> None:
    cache = ResultCache(10, 1_000)
    slow = asyncio.create_task(cache.get_or_compute("a", Computed(seconds=5.0)))

    assert await asyncio.wait_for(cache.get_or_compute("b", Computed()), 1.0) == ("en", False)

    slow.cancel()


async def test_the_least_recently_used_result_is_dropped_first() -> None:
    cache = ResultCache(2, 1_000)
    for key in "aba":
        await cache.get_or_compute(key, Computed(seconds=0.0))
    await cache.get_or_compute("c", Computed(seconds=0.0))
    await asyncio.sleep(0)

    hits = [(await cache.get_or_compute(key, Computed(seconds=0.0)))[1] for key in "ac"]

    assert hits == [True, True]
    assert len(cache) == 2


async def test_a_failure_is_raised_but_not_cached_and_the_next_waiting_request_computes() -> None:
    cache, failing, computed = (
        ResultCache(10, 1_000),
        Computed(error=InferenceError("It failed.")),
        Computed(),
    )
    first = asyncio.create_task(cache.get_or_compute("a", failing))
    await asyncio.sleep(0.01)

    others = await asyncio.gather(*(cache.get_or_compute("a", computed) for _ in range(3)))

    with pytest.raises(InferenceError):
        await first
    assert sorted(hit for _, hit in others) == [False, True, True]
    assert computed.log == ["started", "done"]


async def test_the_next_waiting_request_computes_if_the_first_is_cancelled() -> None:
    cache, cancelled, computed = ResultCache(10, 1_000), Computed(seconds=5.0), Computed()
    first = asyncio.create_task(cache.get_or_compute("a", cancelled))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(cache.get_or_compute("a", computed))
    await asyncio.sleep(0.01)

    first.cancel()

    assert await asyncio.wait_for(second, 1.0) == ("en", False)
    assert cancelled.log == ["started", "cancelled"]


async def test_cancelling_a_waiting_request_does_not_affect_the_others() -> None:
    cache, computed = ResultCache(10, 1_000), Computed()
    first = asyncio.create_task(cache.get_or_compute("a", computed))
    await asyncio.sleep(0.01)
    second, third = (asyncio.create_task(cache.get_or_compute("a", computed)) for _ in range(2))
    await asyncio.sleep(0.01)

    second.cancel()

    assert await first == ("en", False)
    assert await third == ("en", True)
    assert computed.log == ["started", "done"]


async def test_a_cleared_cache_computes_again_what_it_had_and_what_was_in_flight() -> None:
    cache, computed = ResultCache(10, 1_000), Computed()
    await cache.get_or_compute("a", computed)
    in_flight = asyncio.create_task(cache.get_or_compute("b", computed))
    await asyncio.sleep(0.01)

    cache.clear()
    waiting = asyncio.create_task(cache.get_or_compute("b", computed))

    assert (await in_flight)[1] is False
    assert (await waiting)[1] is True
    assert len(cache) == 0
    for key in "ab":
        assert (await cache.get_or_compute(key, computed))[1] is False
        assert (await cache.get_or_compute(key, computed))[1] is True


async def test_shrinking_the_cache_drops_entries() -> None:
    cache = ResultCache(3, 1_000)
    for key in "abc":
        await cache.get_or_compute(key, Computed(seconds=0.0))

    cache.resize(1, 1_000)

    assert len(cache) == 1
    assert (await cache.get_or_compute("c", Computed(seconds=0.0)))[1] is True


async def keep(cache: ResultCache, key: str, result: object) -> None:
    async def compute() -> object:
        return result

    await cache.get_or_compute(key, compute)


LARGE = bytes(100_000)


async def test_large_results_take_no_more_than_the_bound_and_the_latest_stay() -> None:
    cache = ResultCache(100, 350_000)

    for number in range(50):
        await keep(cache, str(number), LARGE)
        assert sum(estimated_bytes(result) for result, _ in cache._results.values()) <= 350_000

    assert list(cache._results) == ["47", "48", "49"]


async def test_small_results_are_kept_up_to_their_number() -> None:
    cache = ResultCache(100, IngressTunables().cache_bytes)
    answer = SpeakerResult(Embedding(np.zeros(192, np.float32), "voxceleb", 40 * "a"), None)

    for number in range(150):
        await keep(cache, str(number), answer)

    assert list(cache._results) == [str(number) for number in range(50, 150)]


async def test_a_result_above_the_whole_bound_is_answered_and_not_kept() -> None:
    cache = ResultCache(10, 50_000)
    await keep(cache, "small", b"1")

    await keep(cache, "large", LARGE)

    assert list(cache._results) == ["small"]
    computed = Computed()
    await cache.get_or_compute("large", computed)
    assert computed.log == ["started", "done"]


async def test_a_large_result_in_flight_is_still_computed_once() -> None:
    cache, computations = ResultCache(10, 50_000), 0

    async def compute() -> bytes:
        nonlocal computations
        computations += 1
        await asyncio.sleep(0.02)
        return LARGE

    found = await asyncio.gather(*(cache.get_or_compute("a", compute) for _ in range(5)))

    assert computations == 1
    assert {result for result, _ in found} == {LARGE}


async def test_the_bytes_of_dropped_and_cleared_results_are_free_again() -> None:
    cache = ResultCache(10, 350_000)
    for key in "abc":
        await keep(cache, key, LARGE)

    cache.resize(10, 250_000)
    assert list(cache._results) == ["b", "c"]
    cache.clear()
    for key in "de":
        await keep(cache, key, LARGE)

    assert list(cache._results) == ["d", "e"]
    cache.resize(10, 0)
    assert not cache._results
    assert not cache._bytes


def test_keys_differ_by_recording_and_question() -> None:
    keys = [cache_key(b"one", "language"), cache_key(b"other", "language"), cache_key(b"one", "accent")]

    assert len(set(keys)) == len(keys)
    assert cache_key(b"one", "language") == keys[0]
