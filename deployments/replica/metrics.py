"""Metrics of a model replica. Ray's Prometheus endpoint adds ``ray_`` to names, and ``_total`` to counters.

Serve adds the deployment, the replica and the application as tags when a metric is created, so create these
classes in the constructor of a deployment. A record takes about 2 us, and models record once per batch.
"""

from ray.serve.metrics import Counter, Gauge, Histogram

from deployments.replica.batcher import BatchReport

SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0]
ITEMS = [1, 2, 4, 8, 16, 32, 64]


class ModelMetrics:
    """Batches and backlog of a model replica."""

    def __init__(self) -> None:
        self._audio = Counter("voxgraph_model_audio_seconds", "Seconds of audio that the model answered.")
        self._padding = Counter("voxgraph_padding_seconds", "Seconds of silence that filled up batches.")
        self._items = Histogram("voxgraph_batch_items", "Recordings in a batch.", boundaries=ITEMS)
        self._model = Histogram("voxgraph_model_seconds", "Time of a batch in the model.", boundaries=SECONDS)
        self._age = Histogram(
            "voxgraph_queue_age_seconds",
            "How long the oldest recording of a batch waited.",
            boundaries=SECONDS,
        )
        self._backlog = Gauge("voxgraph_backlog_audio_seconds", "Seconds of audio that wait or run.")

    def record(self, batch: BatchReport) -> None:
        """Count one batch."""
        _increase(self._audio, batch.cost_s)
        _increase(self._padding, batch.padded_s - batch.cost_s)
        self._items.observe(batch.items)
        self._model.observe(batch.ran_s)
        self._age.observe(batch.waited_s)

    def set_backlog(self, seconds: float) -> None:
        """Set the seconds of audio that wait or run."""
        self._backlog.set(seconds)


def _increase(counter: Counter, value: float) -> None:
    """Increase a counter; zero is skipped, since counters reject it."""
    if value > 0:
        counter.inc(value)
