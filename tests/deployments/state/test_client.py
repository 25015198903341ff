"""Client of the shared state, including a state that is slow or unavailable."""

import asyncio
from typing import Any

import pytest
from plain_handles import handle

from config.settings import IngressTunables
from deployments.state import client as state_client
from deployments.state.client import GraphStateClient
from deployments.state.graph_state import CacheSize, GraphState
from voxgraph.calls import Deadline
from voxgraph.errors import DeadlineExceeded, ModelUnavailable, Overloaded
from voxgraph.graph import Count, Counts


def client_of(state: Any) -> GraphStateClient:
    return GraphStateClient(handle(state), IngressTunables(accent_deadline_s=1.0, cache_entries=10))


async def cached(client: GraphStateClient, key: str, seconds: float = 0.0, deadline_s: float = 10.0) -> str:
    async def compute() -> str:
        await asyncio.sleep(seconds)
        return "en"

    return await client.cached(key, "language", compute, Deadline.after(deadline_s))


class Unavailable(GraphState):
    """A state that cannot be reached."""

    async def report(self, replica: str, counts: Counts, cache: CacheSize) -> int:
        raise ModelUnavailable("It is gone.")


async def test_questions_are_answered_without_the_state() -> None:
    client = client_of(Unavailable())

    assert await asyncio.wait_for(cached(client, "a"), 1.0) == "en"


async def test_a_question_waits_for_an_identical_one_until_its_own_deadline() -> None:
    client = client_of(GraphState())
    first = asyncio.create_task(cached(client, "a", seconds=0.5))
    await asyncio.sleep(0.01)

    with pytest.raises(DeadlineExceeded):
        await cached(client, "a", deadline_s=0.1)

    assert await first == "en"


async def test_hits_misses_and_computations_are_reported() -> None:
    client = client_of(GraphState())
    for key in "aab":
        await cached(client, key)

    counts, info = await client.counts(), await client.cache_info()

    assert (info.hits, info.misses, info.currsize, info.maxsize) == (1, 2, 2, 10)
    assert counts.inferences["language"].number == 2


class Recovering(GraphState):
    """A state whose first report is lost."""

    lost = 0

    async def report(self, replica: str, counts: Counts, cache: CacheSize) -> int:
        if not self.lost:
            self.lost += 1
            raise ModelUnavailable("It is gone.")
        return await super().report(replica, counts, cache)


async def test_counts_of_a_failed_report_are_sent_with_the_next_one() -> None:
    client = client_of(Recovering())
    client.observe("/diarize", 200, 1.0)
    with pytest.raises(ModelUnavailable):
        await client.counts()
    client.observe("/diarize", 500, 2.0)

    assert (await client.counts()).requests == {"/diarize": Count(2, 1, 3.0)}


class Slow(GraphState):
    """A state that takes 0.3 s for a report."""

    async def report(self, replica: str, counts: Counts, cache: CacheSize) -> int:
        await asyncio.sleep(0.3)
        return await super().report(replica, counts, cache)


async def test_counts_during_a_report_are_reported_by_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(state_client, "REPORT_INTERVAL_S", 0.1)
    state = Slow()
    client = client_of(state)

    client.observe("/diarize", 200, 1.0)
    await asyncio.sleep(0.2)
    client.observe("/diarize", 200, 1.0)
    await asyncio.sleep(1.0)

    assert (await state.counts()).requests["/diarize"].number == 2


class Remembering(GraphState):
    """A state that keeps the generation of each replica's cache, as the replica reported it last."""

    def __init__(self) -> None:
        super().__init__()
        self.generations: dict[str, int] = {}

    async def report(self, replica: str, counts: Counts, cache: CacheSize) -> int:
        self.generations[replica] = cache.generation
        return await super().report(replica, counts, cache)


async def test_clearing_the_cache_of_one_replica_clears_the_others_after_their_next_report(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(state_client, "REPORT_INTERVAL_S", 0.05)
    monkeypatch.setattr(state_client, "HEARTBEAT_S", 0.1)
    state = Remembering()
    one, other = client_of(state), client_of(state)
    for client in (one, other):
        await cached(client, "a")
    assert (await one.cache_info()).misses + (await other.cache_info()).misses == 3, "one, then both"

    (generation,) = {*state.generations.values()}
    before = await one.clear_cache()
    async with asyncio.timeout(10):
        while generation in state.generations.values():
            await asyncio.sleep(0.01)

    assert before.currsize == 2
    assert (await one.cache_info()).currsize == 0
    for client in (one, other):
        await cached(client, "a")
    assert (await other.cache_info()).misses + (await one.cache_info()).misses == 3


class Returning(GraphState):
    """A state that answers nothing at first."""

    is_away = True

    async def report(self, replica: str, counts: Counts, cache: CacheSize) -> int:
        if self.is_away:
            raise ModelUnavailable("It is gone.")
        return await super().report(replica, counts, cache)


async def test_results_are_forgotten_here_at_once_and_elsewhere_when_the_state_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(state_client, "REPORT_INTERVAL_S", 0.05)
    monkeypatch.setattr(state_client, "HEARTBEAT_S", 0.1)
    state = Returning()
    state.is_away = False
    one, other = client_of(state), client_of(state)
    for client in (one, other):
        await cached(client, "a")
    await asyncio.sleep(0.2)
    state.is_away = True

    await one.forget_results()

    assert (len(one._cache), len(other._cache)) == (0, 1)
    await asyncio.sleep(0.2)
    assert len(other._cache) == 1
    state.is_away = False
    await asyncio.sleep(0.4)
    assert len(other._cache) == 0
    # Once, not again and again.
    await cached(other, "b")
    await asyncio.sleep(0.3)
    assert len(other._cache) == 1


async def test_a_slot_is_released_if_the_block_fails() -> None:
    state = GraphState()
    client = client_of(state)

    async def fail() -> None:
        async with client.admitted("one"):
            assert (await client.queue()).running == ("one",)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    await asyncio.sleep(0.01)

    assert (await state.queue()).running == ()


async def test_a_slot_is_released_at_the_deadline() -> None:
    state = GraphState()
    client = GraphStateClient(handle(state), IngressTunables(accent_deadline_s=0.05, cache_entries=10))

    async def stay() -> None:
        async with client.admitted("one"):
            await asyncio.sleep(5.0)

    with pytest.raises(DeadlineExceeded):
        await stay()
    await asyncio.sleep(0.01)

    assert (await state.queue()).running == ()


class Distant(GraphState):
    """A state whose answer that there is a slot takes 0.2 s to arrive."""

    async def enter(self, request_id: str, lease: str) -> None:
        await super().enter(request_id, lease)
        await asyncio.sleep(0.2)


@pytest.mark.parametrize("is_at_the_deadline", [False, True])
async def test_a_slot_whose_request_left_before_it_knew_is_given_back_at_once(
    is_at_the_deadline: bool,
) -> None:
    state = Distant()
    deadline_s = 0.1 if is_at_the_deadline else 1.0
    client = GraphStateClient(handle(state), IngressTunables(accent_deadline_s=deadline_s, cache_entries=10))

    async def stay() -> None:
        async with client.admitted("one"):
            await asyncio.sleep(5.0)

    request = asyncio.create_task(stay())
    await asyncio.sleep(0.05)
    assert (await state.queue()).running == ("one",), "It has the slot, and does not know it."
    if not is_at_the_deadline:
        request.cancel()
    with pytest.raises(DeadlineExceeded if is_at_the_deadline else asyncio.CancelledError):
        await request
    await asyncio.sleep(0.01)

    assert (await state.queue()).running == ()


class Late(GraphState):
    """A state that a request reaches 0.2 s after it was sent, even if its caller leaves meanwhile."""

    async def enter(self, request_id: str, lease: str) -> None:
        await asyncio.shield(asyncio.create_task(self._enter_late(request_id, lease)))

    async def _enter_late(self, request_id: str, lease: str) -> None:
        await asyncio.sleep(0.2)
        await super().enter(request_id, lease)


async def test_a_request_that_arrives_after_it_left_takes_no_slot() -> None:
    state = Late()
    client = client_of(state)
    tasks = [asyncio.create_task(client.admitted(str(number)).__aenter__()) for number in range(5)]
    await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0.3)

    assert (await state.queue()).running == ()


class Full(GraphState):
    """A state without a slot, which counts what it is told."""

    left = 0

    async def enter(self, request_id: str, lease: str) -> None:
        raise Overloaded("The queue is full.")

    async def leave(self, lease: str) -> None:
        self.left += 1


async def test_a_request_that_was_refused_costs_the_state_one_call() -> None:
    state = Full()
    client = client_of(state)

    with pytest.raises(Overloaded):
        await client.admitted("one").__aenter__()
    await asyncio.sleep(0.01)

    assert not state.left
