"""Which replica of a model a call goes to: the one with the least of this caller's work.

Serve's own router takes the better of two by the queue lengths that replicas tell. Where calls go directly
(`calls.direct`) they tell it with the answer: how long the queue was when the call came, a whole wait ago. It
then fills one replica while the next has nothing to do (24 calls against none, of 32 callers and two
replicas); and of calls that start in one moment it sends all to one. What a caller has under way it knows by
itself, at once and of every replica; "least requests" of Envoy goes by the same number.
"""

import asyncio
import random
from collections import Counter
from typing import Any

from ray.serve._private.request_router.pow_2_router import PowerOfTwoChoicesRequestRouter
from ray.serve.request_router import PendingRequest, ReplicaID, ReplicaResult, RunningReplica

SEND_GRACE_S = 0.05
"""Seconds in which a call is sent to the replica chosen for it, if its caller has not left."""


class LeastOutstandingRouter(PowerOfTwoChoicesRequestRouter):  # type: ignore[misc]  # Ray is untyped
    """Serve's router, whose queue lengths are the calls that it has sent and that have not ended.

    A replica that refuses a call is full of others' work: its length is the one that it tells, until one of
    our own calls that it took ends or Serve asks it again. One that is not reached has no length until then:
    the dead have the least work.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._outstanding: Counter[ReplicaID] = Counter()
        self._refused: Counter[ReplicaID] = Counter()
        """Calls that were refused and whose end is still to be told."""
        self._is_full = False
        """Whether the replica that was heard of last is."""
        self._unreachable: set[ReplicaID] = set()
        """Since their last call."""
        self._chosen: Counter[ReplicaID] = Counter()
        """Calls that are about to be sent: Serve chooses for all that wait before it sends the first."""

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        """Replicas came or went."""
        super().update_replicas(replicas)
        self._unreachable.intersection_update(self.curr_replicas)

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """The replica with the least work; where none is known to have room, two at random.

        Of the two, those that are not known to have room are asked behind the call's back.
        """
        two = await super().choose_replicas(candidate_replicas, pending_request)
        free = [replica for replica in candidate_replicas if self._has_room(replica)]
        if not free:
            return two  # type: ignore[no-any-return]
        least = min(free, key=lambda replica: (self._work(replica.replica_id), random.random()))
        if not self._chosen:
            asyncio.get_running_loop().call_later(SEND_GRACE_S, self._chosen.clear)
        self._chosen[least.replica_id] += 1
        return [[least, *(replica for rank in two for replica in rank if not self._has_room(replica))], *two]

    async def _choose_replica_for_request(
        self, pending_request: PendingRequest, *, is_retry: bool = False
    ) -> RunningReplica:
        """Of a call that is sent when this returns; its end is told in any case."""
        replica = await super()._choose_replica_for_request(pending_request, is_retry=is_retry)
        _decrement(self._chosen, replica.replica_id)
        return replica

    def _has_room(self, replica: RunningReplica) -> bool:
        length = self.replica_queue_len_cache.get(replica.replica_id)
        return length is not None and length < replica.max_ongoing_requests

    def _work(self, replica_id: ReplicaID) -> int:
        return self._outstanding[replica_id] + self._chosen[replica_id]

    def on_send_request(self, replica_id: ReplicaID) -> None:
        """A call was sent."""
        self._unreachable.discard(replica_id)
        self._outstanding[replica_id] += 1
        super().on_new_queue_len_info(replica_id, self._outstanding[replica_id])

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:
        """A call has ended, however it did."""
        super().on_request_completed(replica_id, internal_request_id)
        left = _decrement(self._outstanding, replica_id)
        if replica_id in self._refused:
            _decrement(self._refused, replica_id)
        # Not of a replica that has been forgotten: it would be remembered for ever.
        elif replica_id in self.curr_replicas and replica_id not in self._unreachable:
            super().on_new_queue_len_info(replica_id, left)

    def on_replica_actor_unavailable(self, replica_id: ReplicaID) -> None:
        """A call did not reach a replica; its end is told before or after this."""
        super().on_replica_actor_unavailable(replica_id)
        self._unreachable.add(replica_id)

    def on_new_queue_len_info(self, replica_id: ReplicaID, num_ongoing_requests: int) -> None:
        """A replica told its queue length as it took a call, or refused it."""
        replica: RunningReplica | None = self.curr_replicas.get(replica_id)
        self._is_full = replica is not None and num_ongoing_requests >= replica.max_ongoing_requests
        if self._is_full:
            self._refused[replica_id] += 1
            super().on_new_queue_len_info(replica_id, num_ongoing_requests)

    def on_request_routed(
        self, pending_request: PendingRequest, replica_id: ReplicaID, result: ReplicaResult
    ) -> None:
        """The replica that was just heard of took the call, be it as the last that it has room for.

        A direct call that was taken is told when it has ended.
        """
        super().on_request_routed(pending_request, replica_id, result)
        if self._is_full:
            self._is_full = False
            _decrement(self._refused, replica_id)

    def decrement_queue_len_cache(self, replica_id: ReplicaID) -> None:
        """A call has ended; `on_request_completed` was told as well."""


def _decrement(counts: Counter[ReplicaID], replica_id: ReplicaID) -> int:
    """Count one less and return what is left; a count of nothing is removed."""
    left = counts[replica_id] - 1
    if left > 0:
        counts[replica_id] = left
    else:
        del counts[replica_id]
    return max(0, left)
