"""Autoscaling by audio: seconds of audio that wait or run, against a target per replica.

Serve's default policy counts requests, but an hour of conversation is one request, like a single word.
Replicas report `autoscaling_stats`; `follow_audio` is the ``autoscaling_config.policy`` of the configuration
files. Serve applies bounds, delays and scaling up from zero around it. Every process that reads such a file
imports this module (the head node's dashboard does), and the controller unpickles the policy by value, so
the module imports nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.serve.config import AutoscalingContext

AUDIO_S = "audio_s"
REQUESTS = "requests"
TARGET_AUDIO_S = "target_audio_s"


def autoscaling_stats(requests: int, audio_s: float, target_audio_s: float) -> dict[str, float]:
    """Return what a replica answers to Serve's ``record_autoscaling_stats``.

    Args:
        requests: Number of items that wait or run in the replica.
        audio_s: Seconds of audio in those items.
        target_audio_s: Seconds of audio that one replica should have.
    """
    return {REQUESTS: float(requests), AUDIO_S: audio_s, TARGET_AUDIO_S: target_audio_s}


def follow_audio(ctx: "AutoscalingContext") -> tuple[float, dict[str, Any]]:
    """Return the desired number of replicas, a fraction that Serve rounds up, and an empty policy state.

    A request that still waits in a router counts as the mean length of the requests inside replicas. The
    number never exceeds that of requests, since a recording runs on one replica. While no replica reports
    work (it has just started, has no checkpoint, or is idle), requests count as in Serve's default policy.
    """
    if ctx.current_num_replicas == 0:
        return ctx.target_num_replicas, {}
    reported = ctx.aggregated_metrics or {}
    requests, audio_s = (sum(reported.get(name, {}).values()) for name in (REQUESTS, AUDIO_S))
    if requests <= 0:
        return ctx.total_num_requests / ctx.config.get_target_ongoing_requests(), {}
    targets = reported[TARGET_AUDIO_S].values()
    target_s = sum(targets) / len(targets)
    all_requests = requests + ctx.total_queued_requests
    return min(all_requests * audio_s / requests / target_s, all_requests), {}
