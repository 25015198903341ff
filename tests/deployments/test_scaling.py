"""How many replicas a backlog of audio asks for, and what the controller makes of the policy."""

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.serve._private.common import DeploymentID, ReplicaID
from ray.serve.autoscaling_policy import _apply_autoscaling_config
from ray.serve.config import AutoscalingConfig, AutoscalingContext

from deployments.replica.autoscaling import follow_audio, stats

POLICY = {"policy_function": "deployments.replica.autoscaling:follow_audio"}
Replica = dict[str, float]


def context(
    replicas: Sequence[Replica | None],
    *,
    queued: float = 0.0,
    total: float = 0.0,
    target_replicas: int | None = None,
    config: AutoscalingConfig | None = None,
    now: float = 0.0,
    state: dict[str, Any] | None = None,
) -> AutoscalingContext:
    """Of replicas that report what they have; None has not reported."""
    deployment = DeploymentID("Language", "voxgraph")
    ids = [ReplicaID(str(index), deployment) for index in range(len(replicas))]
    metrics: dict[str, dict[ReplicaID, float]] = {}
    for replica, reported in zip(ids, replicas, strict=True):
        for name, value in (reported or {}).items():
            metrics.setdefault(name, {})[replica] = value
    return AutoscalingContext(
        deployment_id=deployment,
        deployment_name="Language",
        app_name="voxgraph",
        current_num_replicas=len(replicas),
        target_num_replicas=len(replicas) if target_replicas is None else target_replicas,
        running_replicas=ids,
        total_num_requests=lambda: total,
        total_queued_requests=lambda: queued,
        aggregated_metrics=lambda: metrics,
        raw_metrics=None,
        capacity_adjusted_min_replicas=0,
        capacity_adjusted_max_replicas=100,
        policy_state=state or {},
        last_scale_up_time=None,
        last_scale_down_time=None,
        current_time=now,
        config=config or AutoscalingConfig(max_replicas=100, target_ongoing_requests=4),
    )


def wanted(replicas: Sequence[Replica | None], **options: Any) -> float:
    return follow_audio(context(replicas, **options))[0]


def test_each_replica_is_left_its_target_of_audio() -> None:
    assert wanted([stats(20, 240.0, 120.0)]) == pytest.approx(2.0)
    assert wanted([stats(20, 240.0, 120.0), stats(40, 480.0, 120.0)]) == pytest.approx(6.0)


def test_long_recordings_ask_for_more_than_as_many_short_ones() -> None:
    assert wanted([stats(8, 8 * 60.0, 120.0)]) > 5 * wanted([stats(8, 8 * 3.0, 120.0)])


def test_what_waits_in_a_router_counts_as_long_as_what_replicas_have() -> None:
    assert wanted([stats(2, 600.0, 600.0)], queued=6.0) == pytest.approx(4.0)


def test_one_recording_of_hours_asks_for_one_replica() -> None:
    assert wanted([stats(1, 4 * 3600.0, 600.0)]) == 1.0


def test_idle_replicas_are_not_wanted() -> None:
    assert wanted([stats(0, 0.0, 120.0)] * 5) == 0.0


def test_replicas_that_report_nothing_are_counted_by_requests() -> None:
    assert wanted([None, None], total=20.0) == pytest.approx(5.0)
    assert wanted([{}], total=8.0) == pytest.approx(2.0)


def test_a_replica_that_has_just_started_dilutes_nothing() -> None:
    assert wanted([stats(20, 240.0, 120.0), None]) == wanted([stats(20, 240.0, 120.0)])


def test_replicas_that_still_start_are_left_alone() -> None:
    assert wanted([], target_replicas=3) == 3


@given(
    st.lists(st.tuples(st.integers(1, 64), st.floats(0.1, 1e5)), min_size=1, max_size=8),
    st.floats(0, 1000),
    st.floats(1, 1000),
)
def test_more_work_never_asks_for_fewer_replicas(
    loads: list[tuple[int, float]], queued: float, target_s: float
) -> None:
    reports = [stats(requests, audio_s, target_s) for requests, audio_s in loads]
    more = [stats(requests, audio_s * 2, target_s) for requests, audio_s in loads]

    assert 0 < wanted(reports, queued=queued) <= wanted(more, queued=queued)


def test_serve_wakes_a_deployment_that_has_no_replica() -> None:
    config = AutoscalingConfig(min_replicas=0, max_replicas=8, upscale_delay_s=60, policy=POLICY)
    policy = _apply_autoscaling_config(config.policy.get_policy())

    assert policy(context([], total=3.0, target_replicas=0, config=config))[0] == 1
    assert policy(context([], total=0.0, target_replicas=0, config=config))[0] == 0


def test_serves_delays_keep_a_short_burst_from_adding_replicas() -> None:
    config = AutoscalingConfig(min_replicas=1, max_replicas=8, upscale_delay_s=3600, policy=POLICY)
    policy = _apply_autoscaling_config(config.policy.get_policy())

    replicas, state = policy(context([stats(20, 480.0, 120.0)], config=config))

    assert replicas == 1
    assert state  # the moment from which more were wanted


def test_the_controller_needs_nothing_of_ours_to_run_the_policy() -> None:
    import base64

    pickled = base64.b64encode(AutoscalingConfig(policy=POLICY).policy.get_serialized_policy_def()).decode()
    code = (
        "import sys, base64, pickle; sys.modules['deployments'] = sys.modules['torch'] = None\n"
        f"policy = pickle.loads(base64.b64decode('{pickled}'))\n"
        "from types import SimpleNamespace\n"
        "assert policy(SimpleNamespace(current_num_replicas=0, target_num_replicas=2)) == (2, {})"
    )

    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
