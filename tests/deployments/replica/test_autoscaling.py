"""The autoscaling policy by audio, and how Serve's controller applies it."""

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

from deployments.replica.autoscaling import autoscaling_stats as stats
from deployments.replica.autoscaling import follow_audio

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
    """Return a context with the reports of some replicas; None for one that has not reported."""
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


def desired(replicas: Sequence[Replica | None], **options: Any) -> float:
    return follow_audio(context(replicas, **options))[0]


def test_each_replica_gets_its_target_of_audio() -> None:
    assert desired([stats(20, 240.0, 120.0)]) == pytest.approx(2.0)
    assert desired([stats(20, 240.0, 120.0), stats(40, 480.0, 120.0)]) == pytest.approx(6.0)


def test_long_recordings_need_more_replicas_than_as_many_short_ones() -> None:
    assert desired([stats(8, 8 * 60.0, 120.0)]) > 5 * desired([stats(8, 8 * 3.0, 120.0)])


def test_a_request_in_a_router_counts_as_the_mean_request_in_replicas() -> None:
    assert desired([stats(2, 600.0, 600.0)], queued=6.0) == pytest.approx(4.0)


def test_one_recording_of_hours_needs_one_replica() -> None:
    assert desired([stats(1, 4 * 3600.0, 600.0)]) == 1.0


def test_idle_replicas_are_removed() -> None:
    assert desired([stats(0, 0.0, 120.0)] * 5) == 0.0


def test_without_reports_requests_are_counted() -> None:
    assert desired([None, None], total=20.0) == pytest.approx(5.0)
    assert desired([{}], total=8.0) == pytest.approx(2.0)


def test_a_replica_without_a_report_does_not_change_the_result() -> None:
    assert desired([stats(20, 240.0, 120.0), None]) == desired([stats(20, 240.0, 120.0)])


def test_a_deployment_whose_replicas_still_start_keeps_its_target() -> None:
    assert desired([], target_replicas=3) == 3


@given(
    st.lists(st.tuples(st.integers(1, 64), st.floats(0.1, 1e5)), min_size=1, max_size=8),
    st.floats(0, 1000),
    st.floats(1, 1000),
)
def test_more_work_never_needs_fewer_replicas(
    loads: list[tuple[int, float]], queued: float, target_s: float
) -> None:
    reports = [stats(requests, audio_s, target_s) for requests, audio_s in loads]
    more = [stats(requests, audio_s * 2, target_s) for requests, audio_s in loads]

    assert 0 < desired(reports, queued=queued) <= desired(more, queued=queued)


def test_serve_scales_up_from_zero() -> None:
    config = AutoscalingConfig(min_replicas=0, max_replicas=8, upscale_delay_s=60, policy=POLICY)
    policy = _apply_autoscaling_config(config.policy.get_policy())

    assert policy(context([], total=3.0, target_replicas=0, config=config))[0] == 1
    assert policy(context([], total=0.0, target_replicas=0, config=config))[0] == 0


def test_serves_delays_keep_a_short_burst_from_adding_replicas() -> None:
    config = AutoscalingConfig(min_replicas=1, max_replicas=8, upscale_delay_s=3600, policy=POLICY)
    policy = _apply_autoscaling_config(config.policy.get_policy())

    replicas, state = policy(context([stats(20, 480.0, 120.0)], config=config))

    assert replicas == 1
    assert state  # the time since which more are desired


def test_the_controller_runs_the_policy_without_our_package() -> None:
    import base64

    pickled = base64.b64encode(AutoscalingConfig(policy=POLICY).policy.get_serialized_policy_def()).decode()
    code = (
        "import sys, base64, pickle; sys.modules['deployments'] = sys.modules['torch'] = None\n"
        f"policy = pickle.loads(base64.b64decode('{pickled}'))\n"
        "from types import SimpleNamespace\n"
        "assert policy(SimpleNamespace(current_num_replicas=0, target_num_replicas=2)) == (2, {})"
    )

    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
