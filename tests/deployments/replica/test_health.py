"""Health checks are held open, so that a call is in flight whenever a process dies."""

import asyncio

import pytest

from deployments.graph import CLASSES, OPTIONS
from deployments.ingress import Ingress
from deployments.replica import health
from deployments.replica.health import HeldHealthCheck
from deployments.state.graph_state import GraphState


async def test_the_first_check_returns_at_once_and_later_ones_are_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "HEALTH_HOLD_S", 0.2)
    replica = HeldHealthCheck()

    await asyncio.wait_for(replica.check_health(), 0.1)

    for _ in range(2):
        check = asyncio.create_task(replica.check_health())
        done, _waiting = await asyncio.wait([check], timeout=0.1)
        assert not done
        await asyncio.wait_for(check, 5.0)


def test_a_check_ends_before_the_next_one_is_due() -> None:
    # Serve shortens the period by up to 10 %.
    assert (
        0.8 * OPTIONS["health_check_period_s"]
        <= health.HEALTH_HOLD_S
        <= 0.9 * OPTIONS["health_check_period_s"]
    )


@pytest.mark.parametrize("deployment", dict.fromkeys([Ingress, GraphState, *CLASSES.values()]))
def test_every_deployment_holds_its_health_checks(deployment: type) -> None:
    assert issubclass(deployment, HeldHealthCheck)
