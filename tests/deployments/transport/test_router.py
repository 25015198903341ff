"""The router spreads calls by the outstanding calls of their caller, not by outdated reports of replicas."""

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

from deployments.transport import router as router_module
from deployments.transport.router import LeastOutstandingRouter

MAX_ONGOING = 64
MODEL = DeploymentID("Language", "voxgraph")


@dataclass
class Replica:
    """The part of a replica that a router uses."""

    replica_id: ReplicaID
    queue_length: int = 0
    probes: int = 0
    """Number of probes of its queue length."""
    is_dead: bool = False
    max_ongoing_requests: int = MAX_ONGOING
    node_id = availability_zone = None
    multiplexed_model_ids = frozenset[str]()

    async def get_queue_len(self, *, deadline_s: float) -> int:
        self.probes += 1
        if self.is_dead:
            raise ActorUnavailableError("It does not answer.", None)
        return self.queue_length


async def router(kind: type[PowerOfTwoChoicesRequestRouter], replicas: int) -> Any:
    made = kind(
        deployment_id=MODEL, handle_source=DeploymentHandleSource.REPLICA, use_replica_queue_len_cache=True
    )
    made.update_replicas([Replica(ReplicaID(str(number), MODEL)) for number in range(replicas)])
    await asyncio.sleep(0.01)  # The router probes each queue length.
    return made


def request(number: int = 0) -> PendingRequest:
    return PendingRequest(["a recording"], {}, RequestMetadata("of a user", f"call {number}", "answer"))


class Calls:
    """Replicas that answer in order, and report with each answer the queue length at the call's arrival."""

    def __init__(self, router: Any) -> None:
        self.router = router
        self.in_flight: Counter[ReplicaID] = Counter()
        self._sent = 0
        self._calls: dict[ReplicaID, list[tuple[PendingRequest, int]]] = {
            replica: [] for replica in router.curr_replicas
        }
        """Calls of each replica, with the queue length when each arrived."""

    async def send(self) -> ReplicaID:
        self._sent += 1
        call = request(self._sent)
        chosen = (await self.router._choose_replica_for_request(call)).replica_id
        self.router.on_send_request(chosen)
        self.in_flight[chosen] += 1
        calls = self._calls[chosen]
        calls.append((call, len(calls) + 1))
        return chosen

    def answer(self, replica: ReplicaID) -> None:
        if self.in_flight[replica]:
            self.in_flight[replica] -= 1
            call, length = self._calls[replica].pop(0)
            self.router.on_request_completed(replica, call.metadata.internal_request_id)
            self.router.on_new_queue_len_info(replica, length)
            self.router.on_request_routed(call, replica, None)
            self.router.decrement_queue_len_cache(replica)

    def imbalance(self) -> int:
        """Return the difference between the most and the fewest calls of a replica."""
        lengths = [self.in_flight[replica] for replica in self.router.curr_replicas]
        return max(lengths) - min(lengths)


async def max_imbalance(kind: type[PowerOfTwoChoicesRequestRouter]) -> int:
    """Return the largest imbalance between two replicas that answer 32 callers."""
    calls, chance = Calls(await router(kind, replicas=2)), random.Random(0)
    replicas = list(calls.router.curr_replicas)
    imbalance = 0
    for _ in range(32):
        await calls.send()
    for _ in range(1000):
        calls.answer(chance.choice(replicas))
        while calls.in_flight.total() < 32:
            await calls.send()
        imbalance = max(imbalance, calls.imbalance())
    return imbalance


async def test_two_replicas_have_equally_many_calls() -> None:
    assert await max_imbalance(LeastOutstandingRouter) <= 1


async def test_serves_router_is_imbalanced_by_queue_lengths_as_old_as_an_answer() -> None:
    """The reason for our router: it can go when Serve's own balances such calls."""
    assert await max_imbalance(PowerOfTwoChoicesRequestRouter) > 8


async def burst(kind: type[PowerOfTwoChoicesRequestRouter], replicas: int) -> int:
    """Return the imbalance after one call and then 24 simultaneous ones."""
    calls = Calls(await router(kind, replicas))
    await calls.send()
    await asyncio.gather(*(calls.send() for _ in range(24)))
    return calls.imbalance()


@pytest.mark.parametrize("replicas", [2, 3, 5, 8])
async def test_simultaneous_calls_are_spread(replicas: int) -> None:
    assert await burst(LeastOutstandingRouter, replicas) <= 1


async def test_serves_router_sends_simultaneous_calls_to_one_replica() -> None:
    """The reason for `LeastOutstandingRouter._chosen`: it can go when Serve spreads them."""
    assert await burst(PowerOfTwoChoicesRequestRouter, replicas=2) > 8


async def test_a_late_completion_of_a_rejected_call_does_not_affect_the_accepted_one() -> None:
    balanced = await router(LeastOutstandingRouter, replicas=2)
    call = request()

    rejecting = (await balanced._choose_replica_for_request(call)).replica_id
    balanced.on_send_request(rejecting)
    balanced.on_new_queue_len_info(rejecting, MAX_ONGOING)
    accepting = (await balanced._choose_replica_for_request(call, is_retry=True)).replica_id
    balanced.on_send_request(accepting)
    balanced.on_request_completed(rejecting, call.metadata.internal_request_id)

    assert accepting != rejecting
    assert (balanced._work(accepting), balanced._work(rejecting)) == (1, 0)
    balanced.on_request_completed(accepting, call.metadata.internal_request_id)
    assert balanced._work(accepting) == 0


async def test_a_call_cancelled_before_it_was_sent_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(router_module, "SEND_GRACE_S", 0.02)
    balanced = await router(LeastOutstandingRouter, replicas=2)
    task = asyncio.create_task(balanced._choose_replica_for_request(request()))
    while not balanced._chosen:
        await asyncio.sleep(0)
    task.cancel()

    await asyncio.sleep(0.05)

    assert not balanced._chosen
    await Calls(balanced).send()
    assert not balanced._chosen


async def test_a_full_replica_gets_no_calls_but_is_probed() -> None:
    balanced = await router(LeastOutstandingRouter, replicas=3)
    full = next(iter(balanced.curr_replicas))
    replica = balanced.curr_replicas[full]
    replica.probes, replica.queue_length = 0, MAX_ONGOING
    reject(balanced, full)
    calls = Calls(balanced)

    assert full not in [await calls.send() for _ in range(20)]
    assert 0 < replica.probes < 20

    replica.queue_length = 0
    while full not in [await calls.send()]:
        assert replica.probes < 100


async def test_if_every_replica_is_full_a_call_waits_until_one_is_not() -> None:
    balanced = await router(LeastOutstandingRouter, replicas=2)
    for replica_id, replica in balanced.curr_replicas.items():
        replica.queue_length = MAX_ONGOING
        reject(balanced, replica_id)
    task = asyncio.create_task(Calls(balanced).send())
    await asyncio.sleep(0.05)
    assert not task.done()

    replica.queue_length = 0

    assert await task == replica_id


async def test_an_unreachable_replica_gets_no_call_until_a_probe_succeeds() -> None:
    balanced = await router(LeastOutstandingRouter, replicas=3)
    calls = Calls(balanced)
    dead = await calls.send()
    replica = balanced.curr_replicas[dead]
    replica.probes, replica.is_dead = 0, True

    balanced.on_replica_actor_unavailable(dead)
    calls.answer(dead)

    assert dead not in [await calls.send() for _ in range(20)]
    assert replica.probes > 0
    replica.is_dead = False
    while dead not in [await calls.send()]:
        assert replica.probes < 100
    calls.answer(dead)
    assert balanced.replica_queue_len_cache.get(dead) == 0
    assert not balanced._unreachable


def accept(balanced: Any, replica: ReplicaID, length: int) -> None:
    """Report a call that a replica accepts, as Serve does."""
    balanced.on_send_request(replica)
    balanced.on_new_queue_len_info(replica, length)
    balanced.on_request_routed(request(), replica, None)


def reject(balanced: Any, replica: ReplicaID) -> None:
    """Report a call that a replica rejects: Serve cancels it at once, and so it completes."""
    balanced.on_send_request(replica)
    balanced.on_new_queue_len_info(replica, MAX_ONGOING)
    balanced.on_request_completed(replica, "a rejected request")


async def test_a_rejecting_replica_is_full_until_an_accepted_call_completes() -> None:
    balanced = await router(LeastOutstandingRouter, replicas=1)
    (replica,) = balanced.curr_replicas

    accept(balanced, replica, 3)
    assert balanced.replica_queue_len_cache.get(replica) == 1

    for _ in range(3):
        reject(balanced, replica)
        assert balanced.replica_queue_len_cache.get(replica) == MAX_ONGOING

    balanced.on_request_completed(replica, "a request")
    assert balanced.replica_queue_len_cache.get(replica) == 0
    assert not balanced._outstanding
    assert not balanced._rejected


async def test_a_replica_filled_by_an_accepted_call_has_room_after_a_completion() -> None:
    balanced = await router(LeastOutstandingRouter, replicas=1)
    (replica,) = balanced.curr_replicas

    for length in (MAX_ONGOING - 1, MAX_ONGOING):
        accept(balanced, replica, length)
    assert balanced.replica_queue_len_cache.get(replica) == MAX_ONGOING

    balanced.on_request_completed(replica, "a request")
    assert balanced.replica_queue_len_cache.get(replica) == 1
    assert not balanced._rejected


@pytest.mark.parametrize("sent", [0, 2])
async def test_no_state_of_a_removed_replica_is_kept(sent: int) -> None:
    balanced = await router(LeastOutstandingRouter, replicas=1)
    (replica,) = balanced.curr_replicas
    for _ in range(sent):
        balanced.on_send_request(replica)
    balanced.update_replicas([])

    for _ in range(max(1, sent)):
        balanced.on_request_completed(replica, "a request")

    assert not balanced._outstanding
    assert balanced.replica_queue_len_cache.get(replica) is None
