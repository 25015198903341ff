"""Short recordings that are asked of one model within a moment go to it in one call.

A handle call takes some 4 ms of processor time of its two processes, whatever is in it; an ECAPA takes 25 ms
for a clip on a fast core. So that nobody waits for company while a replica has nothing to do, recordings wait
only while each replica has a call of ours, and then a small share of what a call takes.
"""

import asyncio
import contextvars
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ray.serve.handle import DeploymentHandle

from deployments.calls import DIRECT_BYTES, REPLICA_GONE, Deadline, again, call, once
from deployments.clips import Clip, Samples
from deployments.known_replicas import known
from deployments.request_ids import current_request_id
from pipelines.errors import VoxError

MOST = 4
"""Recordings of a call: what is answered first waits for what is answered last."""
FEW = 2
"""Replicas up to which recordings go together. More would be less evenly busy, a call being a lump of work:
eight of a simulated model 0.89 to 0.94 of linear and p99 5.2 to 6.3 s, in place of 0.93 to 0.94 and 4.3 s."""
WAIT_SHARE = 0.05
"""Of what the last call took."""
LONGEST_WAIT_S = 0.03


def _outcome() -> "asyncio.Future[Any]":
    return asyncio.get_running_loop().create_future()


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A recording that goes with others."""

    sent: Samples
    deadline: Deadline
    request_id: str = field(default_factory=current_request_id)
    outcome: "asyncio.Future[Any]" = field(default_factory=_outcome)
    """One of `deployments.replica.WaveformReplica.answers`; cancelled once nobody waits for it."""


class Gatherer:
    """One model, asked by one process.

    Args:
        handle: Its calls go directly; the model is a `deployments.replica.WaveformReplica`.
    """

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle
        self._waiting: list[Asked] = []
        self._timer: asyncio.TimerHandle | None = None
        self._under_way = 0
        """Calls."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._took_s = 0.0

    async def ask(self, clip: Clip, deadline: Deadline) -> Any:
        """Ask about a short recording.

        Raises:
            DeadlineExceeded: The deadline passed.
            Overloaded: Every queue of the model is full.
            ModelUnavailable: The replica died, and so did the one that was asked then.
            VoxError: What the replica raised.
        """
        start = partial(self._handle.answer.remote, clip.sent)
        if self._under_way == 0 or known(self._handle.deployment_id) > FEW:
            # At once indeed, before whatever else this moment has to do.
            ended = self._begun()
            try:
                return await call(start, deadline)
            finally:
                ended()
        outcome = await self._together(Asked(clip.sent, deadline))
        if outcome is None:
            return await again(start, deadline)
        if isinstance(outcome, VoxError):
            raise outcome
        return outcome

    async def _together(self, asked: Asked) -> Any:
        """The outcome of a recording that goes with others."""
        self._waiting.append(asked)
        if self._timer is None:
            wait_s = 0.0 if self._idle() > 0 else min(LONGEST_WAIT_S, WAIT_SHARE * self._took_s)
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._send)
        try:
            async with asked.deadline.kept():
                return await asked.outcome
        finally:
            asked.outcome.cancel()

    def _idle(self) -> int:
        """Replicas that have no call of ours."""
        return max(1, known(self._handle.deployment_id)) - self._under_way

    def _begun(self) -> "partial[None]":
        """Count a call; what this returns is called when it has ended."""
        self._under_way += 1
        return partial(self._ended, time.monotonic())

    def _ended(self, started: float, _: object = None) -> None:
        """What waits goes to a replica that has become free."""
        self._under_way -= 1
        self._took_s = time.monotonic() - started
        if self._timer is not None and self._idle() > 0:
            self._timer.cancel()
            self._send()

    def _send(self) -> None:
        self._timer = None
        waiting = [asked for asked in self._waiting if not asked.outcome.done()]
        self._waiting = []
        for group in groups(waiting):
            # In no request's context: Serve cancels what was called in that of a client that goes away.
            task = asyncio.create_task(self._ask_of(group), context=contextvars.Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(self._begun())
            for asked in group:
                asked.outcome.add_done_callback(partial(_cancel_unwanted, task, group))

    async def _ask_of(self, group: Sequence[Asked]) -> None:
        """Each of a group learns its own outcome, None where the replica did not live to tell it."""
        last = max((asked.deadline for asked in group), key=lambda deadline: deadline.at)
        items = [(asked.request_id, asked.sent) for asked in group]
        try:
            outcomes = await once(lambda: self._handle.answers.remote(items), last)
        except REPLICA_GONE:
            outcomes = [None] * len(group)
        except Exception as error:
            for asked in group:
                if not asked.outcome.done():
                    asked.outcome.set_exception(error)
            return
        for asked, outcome in zip(group, outcomes, strict=True):
            if not asked.outcome.done():
                asked.outcome.set_result(outcome)


def groups(waiting: Sequence[Asked]) -> Iterator[list[Asked]]:
    """What goes in one call each, in order."""
    group: list[Asked] = []
    for asked in waiting:
        size = sum(other.sent.nbytes for other in group) + asked.sent.nbytes
        if group and (len(group) == MOST or size > DIRECT_BYTES):
            yield group
            group = []
        group.append(asked)
    if group:
        yield group


def _cancel_unwanted(call: "asyncio.Task[None]", group: Sequence[Asked], _: object) -> None:
    if all(asked.outcome.done() for asked in group):
        call.cancel()
