"""How many replicas a model needs: what waits and runs, in seconds of audio, against a target per replica.

Serve's own measure counts requests, and an hour of conversation is one request, like a word. Replicas
report with `stats`; `follow_audio` is the ``autoscaling_config.policy`` of the configuration files. Bounds,
delays and waking from zero are Serve's, applied round it. Whatever reads such a file imports this module (the
head node's dashboard does), and the controller unpickles it by value: it imports nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.serve.config import AutoscalingContext

AUDIO_S = "audio_s"
REQUESTS = "requests"
TARGET_AUDIO_S = "target_audio_s"


def stats(requests: int, audio_s: float, target_audio_s: float) -> dict[str, float]:
    """What a replica answers to Serve's ``record_autoscaling_stats``.

    Args:
        requests: Items that wait or run in the replica.
        audio_s: Seconds of audio in them.
        target_audio_s: Seconds of audio that one replica should have.
    """
    return {REQUESTS: float(requests), AUDIO_S: audio_s, TARGET_AUDIO_S: target_audio_s}


def follow_audio(ctx: "AutoscalingContext") -> tuple[float, dict[str, Any]]:
    """The replicas wanted, as a fraction that Serve rounds up, and no state.

    A request that still waits in a router counts as long as the mean of those that replicas have. More
    replicas than requests are never wanted: a long recording runs on one. Where no replica has reported work
    (it has just started, it has no checkpoint, or it idles), requests are counted as Serve counts them.
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
