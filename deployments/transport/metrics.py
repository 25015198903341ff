"""Metrics of the ingress and of the galleries; `deployments.replica.metrics` says how they are exported."""

from ray.serve.metrics import Counter


class IngressMetrics:
    """Requests of an ingress replica, by question."""

    def __init__(self) -> None:
        self._audio = Counter(
            "voxgraph_received_audio_seconds", "Seconds of audio in requests.", tag_keys=("question",)
        )

    def record_received(self, question: str, seconds: float) -> None:
        """Count one recording of a request."""
        self._audio.inc(seconds, tags={"question": question})


class CacheMetrics:
    """Hits and misses of an ingress replica's result cache, by question."""

    def __init__(self) -> None:
        tags = ("question",)
        self._hits = Counter("voxgraph_cache_hit_requests", "Requests answered by the cache.", tag_keys=tags)
        self._misses = Counter("voxgraph_cache_miss_requests", "Requests that were computed.", tag_keys=tags)

    def record_lookup(self, question: str, hit: bool) -> None:
        """Count one lookup; a request that waits for an identical one in flight is a hit."""
        (self._hits if hit else self._misses).inc(tags={"question": question})


class KeyMetrics:
    """Answers to requests with an API key, by the key's name, which is not the key."""

    def __init__(self) -> None:
        tags = ("key", "status")
        self._answers = Counter("voxgraph_key_requests", "Answers to requests with a key.", tag_keys=tags)

    def record_answer(self, name: str, status: int) -> None:
        """Count one answer."""
        self._answers.inc(tags={"key": name, "status": str(status)})


class GalleryMetrics:
    """Decisions about voices, by question and decision; they name no gallery and nobody."""

    def __init__(self) -> None:
        tags = ("question", "decision")
        self._decisions = Counter("voxgraph_voice_decisions", "Decisions about voices.", tag_keys=tags)

    def record(self, question: str, decision: str) -> None:
        """Count one decision."""
        self._decisions.inc(tags={"question": question, "decision": str(decision)})
