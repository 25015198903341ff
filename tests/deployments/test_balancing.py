"""Calls are spread by what their caller has under way, whatever replicas tell of a moment ago."""

import random
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from ray.serve._private.common import DeploymentHandleSource, DeploymentID, ReplicaID
from ray.serve._private.request_router.pow_2_router import PowerOfTwoChoicesRequestRouter

from deployments.balancing import LeastOutstanding
from deployments.known_replicas import known

MAX_ONGOING = 64
MODEL = DeploymentID("Language", "voxgraph")


def router(kind: type[PowerOfTwoChoicesRequestRouter], replicas: int) -> Any:
    made = kind(
        deployment_id=MODEL, handle_source=DeploymentHandleSource.REPLICA, use_replica_queue_len_cache=True
    )
    made._replicas = {
        (replica_id := ReplicaID(str(number), MODEL)): SimpleNamespace(
            replica_id=replica_id, max_ongoing_requests=MAX_ONGOING
        )
        for number in range(replicas)
    }
    # As before each request, where both are new.
    for replica_id in made._replicas:
        made.replica_queue_len_cache.update(replica_id, 0)
    return made


class Calls:
    """Replicas that answer in order, and tell with each answer how many calls were there when it came."""

    def __init__(self, router: Any) -> None:
        self.router = router
        self.under_way: Counter[ReplicaID] = Counter()
        self._told: dict[ReplicaID, list[int]] = {replica: [] for replica in router.curr_replicas}

    async def send(self) -> ReplicaID:
        candidates = list(self.router.curr_replicas.values())
        chosen = await self.router._select_from_candidate_replicas(candidates, 0)
        self.router.on_send_request(chosen.replica_id)
        self.under_way[chosen.replica_id] += 1
        self._told[chosen.replica_id].append(self.under_way[chosen.replica_id])
        return chosen.replica_id

    def answer(self, replica: ReplicaID) -> None:
        if self.under_way[replica]:
            self.under_way[replica] -= 1
            self.router.on_request_completed(replica, "a request")
            self.router.on_new_queue_len_info(replica, self._told[replica].pop(0))
            self.router.decrement_queue_len_cache(replica)


async def furthest_apart(kind: type[PowerOfTwoChoicesRequestRouter]) -> int:
    """Calls that one of two replicas had more than the other at the worst, of 32 callers."""
    calls, chance = Calls(router(kind, replicas=2)), random.Random(0)
    replicas = list(calls.router.curr_replicas)
    apart = 0
    for _ in range(32):
        await calls.send()
    for _ in range(1000):
        calls.answer(chance.choice(replicas))
        while calls.under_way.total() < 32:
            await calls.send()
        apart = max(apart, abs(calls.under_way[replicas[0]] - calls.under_way[replicas[1]]))
    return apart


async def test_two_replicas_have_as_much_to_do() -> None:
    assert await furthest_apart(LeastOutstanding) <= 1


async def test_lengths_that_are_an_answer_old_leave_one_replica_with_little() -> None:
    """What the router is there for: where Serve's own balances such calls, it is needed no more."""
    assert await furthest_apart(PowerOfTwoChoicesRequestRouter) > 8


def take(balanced: Any, replica: ReplicaID, length: int) -> None:
    """What Serve's router tells ours of a call that a replica takes."""
    balanced.on_send_request(replica)
    balanced.on_new_queue_len_info(replica, length)
    balanced.on_request_routed(None, replica, None)


def refuse(balanced: Any, replica: ReplicaID) -> None:
    """And of one that it refuses: the call is cancelled at once, and so ends."""
    balanced.on_send_request(replica)
    balanced.on_new_queue_len_info(replica, MAX_ONGOING)
    balanced.on_request_completed(replica, "a refused request")


async def test_a_replica_that_refuses_is_full_until_a_call_that_it_took_ends() -> None:
    balanced = router(LeastOutstanding, replicas=1)
    (replica,) = balanced.curr_replicas

    take(balanced, replica, 3)
    assert balanced.replica_queue_len_cache.get(replica) == 1

    for _ in range(3):
        refuse(balanced, replica)
        assert balanced.replica_queue_len_cache.get(replica) == MAX_ONGOING

    balanced.on_request_completed(replica, "a request")
    assert balanced.replica_queue_len_cache.get(replica) == 0
    assert not balanced._outstanding
    assert not balanced._refused


async def test_the_last_call_that_a_replica_has_room_for_frees_it_when_it_ends() -> None:
    balanced = router(LeastOutstanding, replicas=1)
    (replica,) = balanced.curr_replicas

    for length in (MAX_ONGOING - 1, MAX_ONGOING):
        take(balanced, replica, length)
    assert balanced.replica_queue_len_cache.get(replica) == MAX_ONGOING

    balanced.on_request_completed(replica, "a request")
    assert balanced.replica_queue_len_cache.get(replica) == 1
    assert not balanced._refused


@pytest.mark.parametrize("sent", [0, 2])
async def test_a_replica_that_is_gone_leaves_nothing_behind(sent: int) -> None:
    balanced = router(LeastOutstanding, replicas=1)
    (replica,) = balanced.curr_replicas
    for _ in range(sent):
        balanced.on_send_request(replica)
    balanced._replicas = {}
    balanced.replica_queue_len_cache.invalidate_key(replica)

    for _ in range(max(1, sent)):
        balanced.on_request_completed(replica, "a request")

    assert not balanced._outstanding
    assert balanced.replica_queue_len_cache.get(replica) is None


def test_a_router_tells_how_many_replicas_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PowerOfTwoChoicesRequestRouter, "update_replicas", lambda *_: None)
    made = router(LeastOutstanding, replicas=0)
    made._deployment_id = DeploymentID("Told", "voxgraph")
    assert known(made._deployment_id) == 0

    made.update_replicas(["one", "two", "three"])

    assert known(made._deployment_id) == 3
