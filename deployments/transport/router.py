"""Request router of the models: it picks the replica with the fewest outstanding calls of this caller.

Serve's default router takes the better of two random replicas by the queue lengths that replicas report. For
direct calls (`calls.direct`) the report arrives with the answer: the length is as old as the call. The router
then fills one replica while the next is idle (24 calls against none, with 32 callers and two replicas), and
sends all calls that start at the same moment to one replica. Each caller knows its own outstanding calls to
every replica without delay; Envoy's "least request" balances by the same number.

Neither router of Ray 2.60's ``ray.serve.experimental`` serves. ``round_robin_router`` ignores outstanding
calls: they take from milliseconds to minutes, so equal shares are unequal work. ``capacity_queue_router``
asks one actor of the deployment for a token before each call, an extra hop through a single process; without
the actor, each call waits for retries with backoff and then falls back to power of two choices.
"""

import asyncio
import random
from collections import Counter
from typing import Any

from ray.serve._private.request_router.pow_2_router import PowerOfTwoChoicesRequestRouter
from ray.serve.request_router import PendingRequest, ReplicaID, ReplicaResult, RunningReplica

from deployments.transport import model_reports

SEND_GRACE_S = 0.05
"""Seconds within which a call is sent to its chosen replica, unless its caller has left."""


class LeastOutstandingRouter(PowerOfTwoChoicesRequestRouter):  # type: ignore[misc]  # Ray is untyped
    """Serve's router with other queue lengths: the number of this caller's calls that have not completed.

    A replica that rejects a call is full of other callers' work: its reported length counts until one of this
    caller's accepted calls completes or Serve probes it again. An unreachable replica has no length until it
    is probed: a dead one would otherwise always look the least loaded.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._outstanding: Counter[ReplicaID] = Counter()
        self._rejected: Counter[ReplicaID] = Counter()
        """Rejected calls whose completion has not been reported yet."""
        self._reported_full = False
        """Whether the last queue length that a replica reported was its maximum."""
        self._unreachable: set[ReplicaID] = set()
        """Replicas that their last call did not reach."""
        self._chosen: Counter[ReplicaID] = Counter()
        """Calls about to be sent: Serve chooses for all waiting calls before it sends the first."""
        model_reports.register(self._deployment_id, self)

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        """Forget the state of replicas that are gone."""
        super().update_replicas(replicas)
        self._unreachable.intersection_update(self.curr_replicas)

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Return the replica with the least work; if none is known to have room, two random ones.

        The random ones that are not known to have room join the first rank, which makes Serve probe their
        queue lengths in the background.
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
        """Pick the replica for one request. Serve reports every completion, so the counters cannot leak."""
        replica = await super()._choose_replica_for_request(pending_request, is_retry=is_retry)
        _decrement(self._chosen, replica.replica_id)
        return replica

    def _has_room(self, replica: RunningReplica) -> bool:
        length = self.replica_queue_len_cache.get(replica.replica_id)
        return length is not None and length < replica.max_ongoing_requests

    def _work(self, replica_id: ReplicaID) -> int:
        return self._outstanding[replica_id] + self._chosen[replica_id]

    def on_send_request(self, replica_id: ReplicaID) -> None:
        """Count a call that was sent."""
        self._unreachable.discard(replica_id)
        self._outstanding[replica_id] += 1
        super().on_new_queue_len_info(replica_id, self._outstanding[replica_id])

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:
        """Discount a call that has completed, whatever its outcome."""
        super().on_request_completed(replica_id, internal_request_id)
        outstanding = _decrement(self._outstanding, replica_id)
        if replica_id in self._rejected:
            _decrement(self._rejected, replica_id)
        # A length of a replica that is gone would stay in Serve's cache.
        elif replica_id in self.curr_replicas and replica_id not in self._unreachable:
            super().on_new_queue_len_info(replica_id, outstanding)

    def on_replica_actor_unavailable(self, replica_id: ReplicaID) -> None:
        """Mark a replica that a call did not reach; the completion may be reported before or after this."""
        super().on_replica_actor_unavailable(replica_id)
        self._unreachable.add(replica_id)

    def on_new_queue_len_info(self, replica_id: ReplicaID, num_ongoing_requests: int) -> None:
        """Keep the queue length that a replica reports with an accepted or rejected call if it is full."""
        replica: RunningReplica | None = self.curr_replicas.get(replica_id)
        self._reported_full = replica is not None and num_ongoing_requests >= replica.max_ongoing_requests
        if self._reported_full:
            self._rejected[replica_id] += 1
            super().on_new_queue_len_info(replica_id, num_ongoing_requests)

    def on_request_routed(
        self, pending_request: PendingRequest, replica_id: ReplicaID, result: ReplicaResult
    ) -> None:
        """Undo the rejection counted for this report: the accepted call took the last free slot.

        For a direct call this is reported after its completion.
        """
        super().on_request_routed(pending_request, replica_id, result)
        if self._reported_full:
            self._reported_full = False
            _decrement(self._rejected, replica_id)

    def decrement_queue_len_cache(self, replica_id: ReplicaID) -> None:
        """Do nothing: `on_request_completed` counts the same completion."""


def _decrement(counts: Counter[ReplicaID], replica_id: ReplicaID) -> int:
    """Decrement a count, remove it at zero, and return what is left."""
    count = counts[replica_id] - 1
    if count > 0:
        counts[replica_id] = count
    else:
        del counts[replica_id]
    return max(0, count)
