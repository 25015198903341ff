"""Limits of API keys that hold for the whole graph: places of recordings, and ingress replicas that die."""

import asyncio
from typing import Any

import pytest
from clock import Clock
from plain_handles import handle

from deployments.state import key_client
from deployments.state.graph_state import GraphState
from deployments.state.key_client import KeyClient
from deployments.state.places import LEASE_S, Places
from voxgraph.errors import ModelUnavailable
from voxgraph.graph import KeyUse


class Counting(GraphState):
    """Counts the calls of ingress replicas."""

    def __init__(self, clock: Any = None) -> None:
        super().__init__(clock or Clock())
        self.asked = 0
        self.renewed = list[int]()

    async def use_key(self, *arguments: Any) -> KeyUse:
        self.asked += 1
        return await super().use_key(*arguments)

    async def renew_places(self, places: tuple[tuple[str, str], ...]) -> None:
        self.renewed.append(len(places))
        await super().renew_places(places)


class Unreachable(GraphState):
    async def use_key(self, *_: Any) -> KeyUse:
        raise ModelUnavailable("It is gone.")


def test_a_key_has_its_places_and_no_more() -> None:
    places = Places()

    assert [places.take("key", 2, lease) for lease in ("a", "b", "c", "b")] == [1, 0, None, 0]
    assert places.take("other", 2, "d") == 1
    places.give_back("key", "a")
    assert places.take("key", 2, "c") == 0
    assert places.take("key", 1, "e") is None  # The key's file has been changed to fewer.


def test_a_place_is_free_again_once_nobody_renews_its_lease() -> None:
    clock = Clock()
    places = Places(clock)
    for lease in ("alive", "dead"):
        places.take("key", 2, lease)
    for _ in range(3):
        clock.now += LEASE_S / 2
        places.renew([("key", "alive")])

    assert [places.take("key", 2, lease) for lease in ("next", "after it")] == [0, None]
    places.renew([("key", "dead")])
    assert places.take("key", 2, "after it") is None
    places.give_back("key", "alive")
    assert places.take("key", 2, "after it") == 0


async def test_recordings_in_two_replicas_count_together_until_they_end() -> None:
    state = Counting()
    one, other = KeyClient(handle(state)), KeyClient(handle(state))

    async with one.using("key", None, 2) as first, other.using("key", None, 2) as second:
        async with one.using("key", None, 2) as third, other.using("else", None, 1) as different:
            assert (third.has_place, different.has_place) == (False, True)
        assert (first.places_left, second.places_left) == (1, 0)
    await asyncio.sleep(0.01)
    async with other.using("key", None, 1) as later:
        assert later == KeyUse(places_left=0)


async def test_a_replica_that_is_killed_gives_its_places_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_client, "RENEWAL_INTERVAL_S", 0.01)
    clock = Clock()
    state = Counting(clock)
    killed, other = KeyClient(handle(state)), KeyClient(handle(state))
    holding = killed.using("key", None, 1)
    await holding.__aenter__()
    for _ in range(3):  # As long as it lives, it renews.
        clock.now += LEASE_S / 2
        await asyncio.sleep(0.03)
    async with other.using("key", None, 1) as refused:
        assert not refused.has_place

    assert killed._renewing is not None
    killed._renewing.cancel()
    await asyncio.gather(killed._renewing, return_exceptions=True)
    clock.now += LEASE_S
    async with other.using("key", None, 1) as let_in:
        assert let_in.has_place
    await holding.__aexit__(None, None, None)


async def test_one_call_counts_rate_and_place_and_one_renews_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_client, "RENEWAL_INTERVAL_S", 0.02)
    state = Counting()
    client = KeyClient(handle(state))

    async with client.using("key", 60, 3) as first, client.using("key", 60, 3), client.using("else", 9, 9):
        await asyncio.sleep(0.03)

    assert first == KeyUse(requests_left=59, places_left=2)
    assert (state.asked, state.renewed) == (3, [3])


async def test_a_flood_of_one_key_costs_the_state_nothing() -> None:
    state = Counting()
    client = KeyClient(handle(state))

    async with client.using("key", 100, 1):
        for _ in range(50):
            async with client.using("key", 100, 1) as use:
                assert not use.is_let_in

    assert state.asked == 1


async def test_a_request_over_its_rate_takes_no_place() -> None:
    state = Counting()
    client, other = KeyClient(handle(state)), KeyClient(handle(state))

    async with client.using("key", 1, 1):
        pass
    await asyncio.sleep(0.01)
    async with client.using("key", 1, 1) as use, other.using("key", None, 1) as place:
        assert (use.wait_s > 0, use.has_place, place.has_place) == (True, True, True)


async def test_one_recording_after_the_other_is_never_refused() -> None:
    state = Counting()
    clients = [KeyClient(handle(state)) for _ in range(2)]

    for number in range(20):
        async with clients[number // 2 % 2].using("key", None, 1) as use:
            assert use.has_place


class Forgetful(Counting):
    async def give_places_back(self, places: Any) -> None:
        raise ModelUnavailable("It was lost on the way.")


async def test_a_replica_says_with_its_next_recording_which_have_ended() -> None:
    state = Forgetful()
    client = KeyClient(handle(state))

    for _ in range(3):
        async with client.using("key", None, 1) as use:
            assert use.has_place


async def test_a_caller_who_leaves_while_the_state_is_asked_holds_no_place() -> None:
    state = Counting()
    client, other = KeyClient(handle(state)), KeyClient(handle(state))

    async def ask() -> None:
        async with client.using("key", None, 1):
            await asyncio.sleep(10)

    asking = asyncio.create_task(ask())
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await asyncio.sleep(0.01)

    async with client.using("key", None, 1) as use:
        assert use.has_place
    await asyncio.sleep(0.01)
    async with other.using("key", None, 1) as use:
        assert use.has_place


async def test_a_replica_counts_by_itself_while_the_state_is_gone() -> None:
    state = Unreachable()
    one, other = KeyClient(handle(state)), KeyClient(handle(state))

    async with one.using("key", 3, 1) as first, other.using("key", 3, 1) as second:
        async with one.using("key", 3, 1) as third:
            assert not third.has_place
        assert [first, second] == 2 * [KeyUse(requests_left=2, places_left=0)]
