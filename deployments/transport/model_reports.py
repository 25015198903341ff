"""What the replicas of a model report about themselves, for ``/health``, which has no place in its queue."""

import weakref
from typing import Any

from ray.serve._private.common import DeploymentID

from deployments.transport.clips import ModelHandle
from voxgraph.calls import Deadline, call
from voxgraph.errors import ModelUnavailable, Overloaded
from voxgraph.results import ReplicaStatus

_routers: weakref.WeakValueDictionary[DeploymentID, Any] = weakref.WeakValueDictionary()
"""The router of each deployment that this process has called; Serve tells it what replicas report."""


def register(deployment: DeploymentID, router: Any) -> None:
    """Take the reports of a deployment from a router, which is not kept alive.

    They are not in the router's own module, of which Serve makes copies.
    """
    _routers[deployment] = router


def reports_of(deployment: DeploymentID) -> list[dict[str, Any]] | None:
    """Return what each running replica of a deployment has last told Serve's controller about itself.

    It is what ``record_routing_stats`` returned, empty for a replica that has told nothing yet. No replica is
    asked, so that this takes no place in a queue. None if this process has not called the deployment yet.
    """
    router = _routers.get(deployment)
    return router and [replica.routing_stats for replica in router.curr_replicas.values()]


async def status_of(model: ModelHandle, deadline: Deadline) -> ReplicaStatus:
    """Return what one running replica of a model has loaded and the memory of its process.

    Replicas report every ten seconds. Only until the first report has arrived here, one of them is asked.

    Raises:
        ModelUnavailable: No replica could load the checkpoint.
        Overloaded: No replica runs at the moment.
        DeadlineExceeded: A replica that was asked has not answered.
    """
    reports = reports_of(model.direct.deployment_id)
    if reports == []:
        raise Overloaded("No replica of the model runs at the moment; try again in a moment.")
    for report in reports or ():
        if "status" in report:
            status: ReplicaStatus = report["status"]
            return status
    if reports and all("failure" in report for report in reports):
        raise ModelUnavailable(reports[0]["failure"])
    asked: ReplicaStatus = await call(lambda: model.direct.status.remote(), deadline)
    return asked
