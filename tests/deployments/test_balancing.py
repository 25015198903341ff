"""Calls are spread by what their caller has under way, whatever replicas tell of a moment ago."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from ray.exceptions import ActorUnavailableError
from ray.serve._private.common import DeploymentHandleSource, DeploymentID, ReplicaID, RequestMetadata
from ray.serve._private.request_router.pow_2_router import PowerOfTwoChoicesRequestRouter
from ray.serve.request_router import PendingRequest

from deployments.transport import router as balancing
from deployments.transport.router import LeastOutstandingRouter

MAX_ONGOING = 64
MODEL = DeploymentID("Language", "voxgraph")


@dataclass
class Replica:
    """What a router sees of one."""

    replica_id: ReplicaID
    queue_length: int = 0
    asked: int = 0
    """How often it was asked for its queue length."""
    is_dead: bool = False
    max_ongoing_requests: int = MAX_ONGOING
    node_id = availability_zone = None
    multiplexed_model_ids = frozenset[str]()

    async def get_queue_len(self, *, deadline_s: float) -> int:
        self.asked += 1
        if self.is_dead:
            raise ActorUnavailableError("It does not answer.", None)
        return self.queue_length


async def router(kind: type[PowerOfTwoChoicesRequestRouter], replicas: int) -> Any:
    made = kind(
        deployment_id=MODEL, handle_source=DeploymentHandleSource.REPLICA, use_replica_queue_len_cache=True
    )
    made.update_replicas([Replica(ReplicaID(str(number), MODEL)) for number in range(replicas)])
    await asyncio.sleep(0.01)  # Each is asked for its queue length.
    return made


def request(number: int = 0) -> PendingRequest:
    return PendingRequest(["a recording"], {}, RequestMetadata("of a user", f"call {number}", "answer"))


class Calls:
    """Replicas that answer in order, and tell with each answer how many calls were there when it came."""

    def __init__(self, router: Any) -> None:
        self.router = router
        self.under_way: Counter[ReplicaID] = Counter()
        self._sent = 0
        self._calls: dict[ReplicaID, list[tuple[PendingRequest, int]]] = {
            replica: [] for replica in router.curr_replicas
        }
        """And the length of the queue when each came."""

    async def send(self) -> ReplicaID:
        self._sent += 1
        call = request(self._sent)
        chosen = (await self.router._choose_replica_for_request(call)).replica_id
        self.router.on_send_request(chosen)
        self.under_way[chosen] += 1
        calls = self._calls[chosen]
        calls.append((call, len(calls) + 1))
        return chosen

    def answer(self, replica: ReplicaID) -> None:
        if self.under_way[replica]:
            self.under_way[replica] -= 1
            call, length = self._calls[replica].pop(0)
            self.router.on_request_completed(replica, call.metadata.internal_request_id)
            self.router.on_new_queue_len_info(replica, length)
            self.router.on_request_routed(call, replica, None)
            self.router.decrement_queue_len_cache(replica)

    def apart(self) -> int:
        """Calls that one replica has more than another."""
        lengths = [self.under_way[replica] for replica in self.router.curr_replicas]
        return max(lengths) - min(lengths)


async def furthest_apart(kind: type[PowerOfTwoChoicesRequestRouter]) -> int:
    """Calls that one of two replicas had more than the other at the worst, of 32 callers."""
    calls, chance = Calls(await router(kind, replicas=2)), random.Random(0)
    replicas = list(calls.router.curr_replicas)
    apart = 0
    for _ in range(32):
        await calls.send()
    for _ in range(1000):
        calls.answer(chance.choice(replicas))
        while calls.under_way.total() < 32:
            await calls.send()
        apart = max(apart, calls.apart())
    return apart


async def test_two_replicas_have_as_much_to_do() -> None:
    assert await furthest_apart(LeastOutstandingRouter) <= 1


async def test_lengths_that_are_an_answer_old_leave_one_replica_with_little() -> None:
    """What the router is there for: where Serve's own balances such calls, it is needed no more."""
    assert await furthest_apart(PowerOfTwoChoicesRequestRouter) > 8


async def burst(kind: type[PowerOfTwoChoicesRequestRouter], replicas: int) -> int:
    """How far apart replicas are after 24 calls of one moment, one of them having had one before."""
    calls = Calls(await router(kind, replicas))
    await calls.send()
    await asyncio.gather(*(calls.send() for _ in range(24)))
    return calls.apart()


@pytest.mark.parametrize("replicas", [2, 3, 5, 8])
async def test_calls_of_one_moment_are_spread(replicas: int) -> None:
    assert await burst(LeastOutstandingRouter, replicas) <= 1


async def test_serves_own_router_sends_all_calls_of_one_moment_to_one_replica() -> None:
    """Where it spreads them, `LeastOutstandingRouter._chosen` is needed no more."""
    assert await burst(PowerOfTwoChoicesRequestRouter, replicas=2) > 8


async def test_a_refusal_that_is_told_late_takes_nothing_from_the_call_that_was_taken() -> None:
    balanced = await router(LeastOutstandingRouter, replicas=2)
    call = request()

    refused = (await balanced._choose_replica_for_request(call)).replica_id
    balanced.on_send_request(refused)
    balanced.on_new_queue_len_info(refused, MAX_ONGOING)
    taken = (await balanced._choose_replica_for_request(call, is_retry=True)).replica_id
    balanced.on_send_request(taken)
    balanced.on_request_completed(refused, call.metadata.internal_request_id)

    assert taken != refused
    assert (balanced._work(taken), balanced._work(refused)) == (1, 0)
    balanced.on_request_completed(taken, call.metadata.internal_request_id)
    assert balanced._work(taken) == 0


async def test_a_call_whose_caller_left_before_it_was_sent_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(balancing, "SEND_GRACE_S", 0.02)
    balanced = await router(LeastOutstandingRouter, replicas=2)
    task = asyncio.create_task(balanced._choose_replica_for_request(request()))
    while not balanced._chosen:
        await asyncio.sleep(0)
    task.cancel()

    await asyncio.sleep(0.05)

    assert not balanced._chosen
    await Calls(balanced).send()
    assert not balanced._chosen


async def test_a_full_replica_is_left_alone_and_asked_now_and_then() -> None:
    balanced = await router(LeastOutstandingRouter, replicas=3)
    full = next(iter(balanced.curr_replicas))
    replica = balanced.curr_replicas[full]
    replica.asked, replica.queue_length = 0, MAX_ONGOING
    refuse(balanced, full)
    calls = Calls(balanced)

    assert full not in [await calls.send() for _ in range(20)]
    assert 0 < replica.asked < 20

    replica.queue_length = 0
    while full not in [await calls.send()]:
        assert replica.asked < 100


async def test_where_every_replica_is_full_a_call_waits_until_one_is_not() -> None:
    balanced = await router(LeastOutstandingRouter, replicas=2)
    for replica_id, replica in balanced.curr_replicas.items():
        replica.queue_length = MAX_ONGOING
        refuse(balanced, replica_id)
    task = asyncio.create_task(Calls(balanced).send())
    await asyncio.sleep(0.05)
    assert not task.done()

    replica.queue_length = 0

    assert await task == replica_id


async def test_a_replica_that_is_not_reached_gets_no_call_until_it_has_told_its_length() -> None:
    balanced = await router(LeastOutstandingRouter, replicas=3)
    calls = Calls(balanced)
    dead = await calls.send()
    replica = balanced.curr_replicas[dead]
    replica.asked, replica.is_dead = 0, True

    balanced.on_replica_actor_unavailable(dead)
    calls.answer(dead)

    assert dead not in [await calls.send() for _ in range(20)]
    assert replica.asked > 0
    replica.is_dead = False
    while dead not in [await calls.send()]:
        assert replica.asked < 100
    calls.answer(dead)
    assert balanced.replica_queue_len_cache.get(dead) == 0
    assert not balanced._unreachable


def take(balanced: Any, replica: ReplicaID, length: int) -> None:
    """What Serve's router tells ours of a call that a replica takes."""
    balanced.on_send_request(replica)
    balanced.on_new_queue_len_info(replica, length)
    balanced.on_request_routed(request(), replica, None)


def refuse(balanced: Any, replica: ReplicaID) -> None:
    """And of one that it refuses: the call is cancelled at once, and so ends."""
    balanced.on_send_request(replica)
    balanced.on_new_queue_len_info(replica, MAX_ONGOING)
    balanced.on_request_completed(replica, "a refused request")


async def test_a_replica_that_refuses_is_full_until_a_call_that_it_took_ends() -> None:
    balanced = await router(LeastOutstandingRouter, replicas=1)
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
    balanced = await router(LeastOutstandingRouter, replicas=1)
    (replica,) = balanced.curr_replicas

    for length in (MAX_ONGOING - 1, MAX_ONGOING):
        take(balanced, replica, length)
    assert balanced.replica_queue_len_cache.get(replica) == MAX_ONGOING

    balanced.on_request_completed(replica, "a request")
    assert balanced.replica_queue_len_cache.get(replica) == 1
    assert not balanced._refused


@pytest.mark.parametrize("sent", [0, 2])
async def test_a_replica_that_is_gone_leaves_nothing_behind(sent: int) -> None:
    balanced = await router(LeastOutstandingRouter, replicas=1)
    (replica,) = balanced.curr_replicas
    for _ in range(sent):
        balanced.on_send_request(replica)
    balanced.update_replicas([])

    for _ in range(max(1, sent)):
        balanced.on_request_completed(replica, "a request")

    assert not balanced._outstanding
    assert balanced.replica_queue_len_cache.get(replica) is None
