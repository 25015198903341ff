"""Which replica of a model a call goes to: of two taken at random, the one with less of this caller's work.

Serve's own router goes by the queue lengths that replicas tell. Where calls go directly (`calls.direct`) they
tell it with the answer: how long the queue was when the call came, a whole wait ago. It then fills one
replica while the next has nothing to do (24 calls against none, of 32 callers and two replicas). What a
caller has under way it knows by itself and at once; "least requests" of Envoy goes by the same number.
"""

from collections import Counter
from typing import Any

from ray.serve._private.request_router.pow_2_router import PowerOfTwoChoicesRequestRouter
from ray.serve.request_router import ReplicaID, RunningReplica

from deployments.known_replicas import know


class LeastOutstanding(PowerOfTwoChoicesRequestRouter):  # type: ignore[misc]  # Ray is untyped
    """Serve's router, whose queue lengths are the calls that it has sent and that have not ended.

    A replica that refuses a call is full of others' work: its length is the one that it tells, until one of
    our own calls that it took ends or Serve asks it again.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._outstanding: Counter[ReplicaID] = Counter()
        self._refused: Counter[ReplicaID] = Counter()
        """Calls that were refused and whose end is still to be told."""
        self._is_full = False
        """Whether the replica that was heard of last is."""

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        """Replicas came or went."""
        super().update_replicas(replicas)
        know(self._deployment_id, len(replicas))

    def on_send_request(self, replica_id: ReplicaID) -> None:
        """A call was sent."""
        self._outstanding[replica_id] += 1
        super().on_new_queue_len_info(replica_id, self._outstanding[replica_id])

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:
        """A call has ended, however it did."""
        super().on_request_completed(replica_id, internal_request_id)
        left = _one_less(self._outstanding, replica_id)
        if replica_id in self._refused:
            _one_less(self._refused, replica_id)
        # Not of a replica that has been forgotten: it would be remembered for ever.
        elif replica_id in self.curr_replicas:
            super().on_new_queue_len_info(replica_id, left)

    def on_new_queue_len_info(self, replica_id: ReplicaID, num_ongoing_requests: int) -> None:
        """A replica told its queue length as it took a call, or refused it."""
        replica: RunningReplica | None = self.curr_replicas.get(replica_id)
        self._is_full = replica is not None and num_ongoing_requests >= replica.max_ongoing_requests
        if self._is_full:
            self._refused[replica_id] += 1
            super().on_new_queue_len_info(replica_id, num_ongoing_requests)

    def on_request_routed(self, pending_request: Any, replica_id: ReplicaID, result: Any) -> None:
        """The replica that was just heard of took the call, be it as the last that it has room for."""
        super().on_request_routed(pending_request, replica_id, result)
        if self._is_full:
            self._is_full = False
            _one_less(self._refused, replica_id)

    def decrement_queue_len_cache(self, replica_id: ReplicaID) -> None:
        """A call has ended; `on_request_completed` was told as well."""


def _one_less(counts: Counter[ReplicaID], replica_id: ReplicaID) -> int:
    """Count down; what comes to nothing is forgotten."""
    left = counts[replica_id] - 1
    if left > 0:
        counts[replica_id] = left
    else:
        del counts[replica_id]
    return max(0, left)
