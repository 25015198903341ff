"""Short recordings that are asked of one model within a moment go to it in one call.

A handle call takes some 4 ms of processor time of its two processes, whatever is in it; an ECAPA takes 25 ms
for a clip on a fast core. So that nobody waits for company while a replica has nothing to do, recordings wait
only while each replica has a call of ours, and then a small share of what a call takes.
"""

import asyncio
import contextvars
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from ray.serve.handle import DeploymentHandle

from deployments.calls import DIRECT_BYTES, REPLICA_GONE, Deadline, again, once
from deployments.clips import Clip, Samples
from deployments.known_replicas import known
from deployments.request_ids import current_request_id
from pipelines.errors import DeadlineExceeded, VoxError

MOST = 8
"""Recordings of a call: what is answered first waits for what is answered last."""
WAIT_SHARE = 0.05
"""Of what the last call took."""
LONGEST_WAIT_S = 0.03


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    request_id: str
    sent: Samples
    deadline: Deadline
    outcome: "asyncio.Future[Any]"
    """Of `deployments.replica.WaveformReplica.answers`; cancelled once nobody waits for it."""


class Gatherer:
    """One model, asked by one process.

    Args:
        handle: Its calls go directly; the model is a `deployments.replica.WaveformReplica`.
    """

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle
        self._waiting: list[_Asked] = []
        self._timer: asyncio.TimerHandle | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._took_s = 0.0

    async def ask(self, clip: Clip, deadline: Deadline) -> Any:
        """Ask about a short recording.

        Raises:
            DeadlineExceeded: The deadline passed.
            Overloaded: Every queue of the model is full.
            ModelUnavailable: The replica died, and so did the one that was asked then.
            VoxError: What the replica raised.
        """
        loop = asyncio.get_running_loop()
        asked = _Asked(current_request_id(), clip.sent, deadline, loop.create_future())
        self._waiting.append(asked)
        self._send_soon()
        try:
            async with asyncio.timeout(deadline.left()):
                outcome = await asked.outcome
        except TimeoutError as error:
            raise DeadlineExceeded("The answer was not ready in time.") from error
        finally:
            asked.outcome.cancel()
        if outcome is None:
            return await again(lambda: self._handle.answer.remote(asked.sent), deadline)
        if isinstance(outcome, VoxError):
            raise outcome
        return outcome

    def _idle(self) -> int:
        """Replicas that have no call of ours."""
        return max(1, known(self._handle.deployment_id)) - len(self._calls)

    def _send_soon(self) -> None:
        if self._timer is None:
            delay = 0.0 if self._idle() > 0 else min(LONGEST_WAIT_S, WAIT_SHARE * self._took_s)
            # In no request's context: Serve cancels what was called in that of a client that goes away.
            self._timer = asyncio.get_running_loop().call_later(
                delay, self._send, context=contextvars.Context()
            )

    def _send(self) -> None:
        """Send what waits, spread over the replicas that have nothing of ours."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting = [asked for asked in self._waiting if not asked.outcome.done()]
        self._waiting = []
        for group in groups(waiting, max(1, self._idle())):
            call = asyncio.create_task(self._call(group), context=contextvars.Context())
            self._calls.add(call)
            call.add_done_callback(self._ended)
            for asked in group:
                asked.outcome.add_done_callback(partial(_cancel_unwanted, call, group))

    def _ended(self, call: "asyncio.Task[None]") -> None:
        self._calls.discard(call)
        if self._waiting:
            self._send()

    async def _call(self, group: list[_Asked]) -> None:
        """Ask about a group; each learns its own outcome, None where the replica did not live to tell it."""
        loop = asyncio.get_running_loop()
        started, last = loop.time(), max((asked.deadline for asked in group), key=lambda one: one.at)
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
        self._took_s = loop.time() - started
        for asked, outcome in zip(group, outcomes, strict=True):
            if not asked.outcome.done():
                asked.outcome.set_result(outcome)


def groups(waiting: list[_Asked], replicas: int) -> Iterator[list[_Asked]]:
    """What goes in one call each: as many calls as replicas, more where one would be too large."""
    most = min(MOST, -(-len(waiting) // replicas))
    group: list[_Asked] = []
    for asked in waiting:
        size = sum(other.sent.nbytes for other in group) + asked.sent.nbytes
        if group and (len(group) == most or size > DIRECT_BYTES):
            yield group
            group = []
        group.append(asked)
    if group:
        yield group


def _cancel_unwanted(call: "asyncio.Task[None]", group: list[_Asked], _: object) -> None:
    if all(asked.outcome.done() for asked in group):
        call.cancel()
