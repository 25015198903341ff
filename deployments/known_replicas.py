"""How many replicas of a deployment this process knows of.

A module of its own: Serve sends the class of a router by value, its module's variables with it.
"""

from collections.abc import Hashable

_counts: dict[Hashable, int] = {}


def know(deployment: Hashable, replicas: int) -> None:
    """A router was told how many there are."""
    _counts[deployment] = replicas


def known(deployment: Hashable) -> int:
    """How many there are; none before its first call.

    Args:
        deployment: As `ray.serve.handle.DeploymentHandle.deployment_id`.
    """
    return _counts.get(deployment, 0)
