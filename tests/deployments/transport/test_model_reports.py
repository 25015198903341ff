"""What ``/health`` shows of a model comes from its replicas' reports; none of them is asked for it."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from plain_handles import handle
from ray.serve._private.common import DeploymentHandleSource, DeploymentID, ReplicaID

from deployments.transport.clips import ModelHandle
from deployments.transport.model_reports import status_of
from deployments.transport.router import LeastOutstandingRouter
from voxgraph.calls import Deadline
from voxgraph.errors import ModelUnavailable, Overloaded
from voxgraph.results import ModelInfo, ReplicaStatus

MODEL = DeploymentID("Language", "voxgraph")
REPORTED = ReplicaStatus(ModelInfo("language", "of/hub", "1", "hub", "cpu", 1), 100.0)
ASKED = ReplicaStatus(ModelInfo("language", "of/hub", "2", "hub", "cpu", 1), 200.0)


@dataclass
class Replica:
    """The part of a replica that a router uses, with its last report."""

    replica_id: ReplicaID
    routing_stats: dict[str, Any]
    max_ongoing_requests: int = 64
    node_id = availability_zone = None
    multiplexed_model_ids = frozenset[str]()

    async def get_queue_len(self, *, deadline_s: float) -> int:
        return 0


class Model:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    async def status(self) -> ReplicaStatus:
        self.calls += 1
        return ASKED


def model_handle(model: Model) -> ModelHandle:
    made = ModelHandle(handle(model))
    made.direct.deployment_id = MODEL
    return made


async def router(*reports: dict[str, Any]) -> LeastOutstandingRouter:
    made = LeastOutstandingRouter(
        deployment_id=MODEL, handle_source=DeploymentHandleSource.REPLICA, use_replica_queue_len_cache=True
    )
    made.update_replicas([Replica(ReplicaID(str(n), MODEL), report) for n, report in enumerate(reports)])
    await asyncio.sleep(0.01)  # The router probes each queue length.
    return made


@pytest.mark.parametrize(
    "reports", [[{"status": REPORTED}], [{}, {"failure": "its file is missing"}, {"status": REPORTED}]]
)
async def test_a_replica_that_reported_is_not_asked(reports: list[dict[str, Any]]) -> None:
    model, kept = Model(), await router(*reports)

    assert await status_of(model_handle(model), Deadline.after(1)) == REPORTED
    assert (model.calls, len(kept.curr_replicas)) == (0, len(reports))


async def test_a_model_that_nobody_could_load_is_unavailable_for_the_reason_of_its_replica() -> None:
    model, kept = Model(), await router({"failure": "its file is missing"})

    with pytest.raises(ModelUnavailable, match="its file is missing"):
        await status_of(model_handle(model), Deadline.after(1))
    assert (model.calls, len(kept.curr_replicas)) == (0, 1)


async def test_a_model_without_replicas_is_busy_and_not_waited_for() -> None:
    model, kept = Model(), await router()

    with pytest.raises(Overloaded):
        await status_of(model_handle(model), Deadline.after(1))
    assert (model.calls, len(kept.curr_replicas)) == (0, 0)


async def test_a_replica_is_asked_until_the_first_report_is_there() -> None:
    model = Model()

    assert await status_of(model_handle(model), Deadline.after(1)) == ASKED
    kept = await router({})
    assert await status_of(model_handle(model), Deadline.after(1)) == ASKED
    assert (model.calls, len(kept.curr_replicas)) == (2, 1)
