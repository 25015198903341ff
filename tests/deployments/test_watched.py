"""Health checks are held, so that a call is under way whenever a process dies."""

import asyncio

import pytest

from deployments.graph import CLASSES, OPTIONS
from deployments.ingress import Ingress
from deployments.replica import health as watched
from deployments.replica.health import HeldHealthCheck
from deployments.state.graph_state import GraphState


async def test_the_first_check_is_answered_at_once_and_all_others_are_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watched, "HEALTH_HOLD_S", 0.2)
    replica = HeldHealthCheck()

    await asyncio.wait_for(replica.check_health(), 0.1)

    for _ in range(2):
        check = asyncio.create_task(replica.check_health())
        done, _waiting = await asyncio.wait([check], timeout=0.1)
        assert not done
        await asyncio.wait_for(check, 5.0)


def test_a_check_ends_before_the_next_one_is_due() -> None:
    # Serve takes up to a tenth from the period.
    assert (
        0.8 * OPTIONS["health_check_period_s"]
        <= watched.HEALTH_HOLD_S
        <= 0.9 * OPTIONS["health_check_period_s"]
    )


@pytest.mark.parametrize("deployment", {Ingress, GraphState, *CLASSES.values()})
def test_every_deployment_is_watched(deployment: type) -> None:
    assert issubclass(deployment, HeldHealthCheck)
