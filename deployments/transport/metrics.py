"""Metrics of an ingress replica, by question; see `deployments.replica.metrics` for where they go."""

import functools

from ray.serve.metrics import Counter


class IngressMetrics:
    """What an ingress replica is asked, by question."""

    def __init__(self) -> None:
        tags = ("question",)
        self._audio = Counter(
            "voxgraph_received_audio_seconds", "Seconds of audio in requests.", tag_keys=tags
        )

    def received(self, question: str, seconds: float) -> None:
        """Count one recording about which a question is asked."""
        self._audio.inc(seconds, tags=_tags(question))


class CacheMetrics:
    """What the cache had and had not for an ingress replica, by question."""

    def __init__(self) -> None:
        tags = ("question",)
        self._hits = Counter("voxgraph_cache_hit_requests", "Requests answered by the cache.", tag_keys=tags)
        self._misses = Counter("voxgraph_cache_miss_requests", "Requests that were computed.", tag_keys=tags)

    def looked(self, question: str, hit: bool) -> None:
        """Count one look; what another request is computing already is a hit."""
        (self._hits if hit else self._misses).inc(tags=_tags(question))


@functools.cache
def _tags(question: str) -> dict[str, str]:
    return {"question": question}
