"""The graph with a simulated model that takes a fixed time and no CPU, to measure everything but models.

A configuration file uses `build` in place of `deployments.graph.build`; only ``/detect-language`` answers.
"""

import hashlib
import os
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ray import serve

from benchmarks.servers import ROOT
from config.settings import GraphSettings
from deployments import graph
from deployments.graph import NAMES
from deployments.replica.model_replica import WaveformReplica
from pipelines.samples import Samples
from voxgraph.errors import CheckpointError
from voxgraph.options import ModelKey
from voxgraph.results import SAMPLE_RATE_HZ, LanguageResult, ModelInfo, Waveform

BATCH_S = "VOXGRAPH_SIMULATED_BATCH_S"
"""Environment variable with the seconds that a batch takes, whatever its size."""
BATCH_ITEMS = 4
MODEL = "Language"
PATH = "/detect-language?allow_no_speech=true"
"""Path and query of a request for the simulated answer: the recordings are noise, in which nobody speaks."""


class FixedTime:
    """Pipeline that returns a result unique to each recording after a fixed time."""

    info = ModelInfo("language", "simulated", "simulated", "simulated", "cpu", 1)
    min_samples = 1

    def __call__(self, items: list[Waveform]) -> list[LanguageResult]:
        """Sleep for the time of a batch and return the expected results."""
        time.sleep(float(os.environ[BATCH_S]))
        return [expected(item) for item in items]


class Simulated(WaveformReplica[LanguageResult]):
    """Replica of the simulated language model; every other model fails for lack of a checkpoint.

    That of the diarization finds speech in every second of a recording.
    """

    def _load_on_assigned_device(self, model: ModelKey, settings: GraphSettings) -> Any:
        if model is not ModelKey.LANGUAGE:
            raise CheckpointError("only the language model is simulated.")
        return FixedTime()

    async def speech_seconds(self, samples: Samples, goes_on: bool = False) -> float:
        """Return the length of a recording, which costs nothing."""
        return len(samples) / SAMPLE_RATE_HZ


def expected(waveform: Waveform) -> LanguageResult:
    """Return the correct result for a recording: its confidence is a digest of the samples."""
    digest = hashlib.sha256(waveform.tobytes()).digest()
    share = int.from_bytes(digest[:6], "big") / 2**48
    return LanguageResult("en", "English", share, {"en": share})


def build(settings: GraphSettings) -> serve.Application:
    """Build the graph of `deployments.graph` with simulated models."""
    graph.CLASSES = dict.fromkeys(ModelKey, Simulated)
    return graph.build(settings)


def config(
    replicas: int,
    batch_s: float,
    *,
    ingress: Mapping[str, Any] = MappingProxyType({"max_requests": 1024}),
    import_path: str = "benchmarks.simulated:build",
    **options: Any,
) -> dict[str, Any]:
    """Return a Serve configuration of the simulated graph.

    Args:
        replicas: Replicas of the model, each of which answers `BATCH_ITEMS` recordings per batch.
        batch_s: Seconds that a batch takes.
        ingress: Tunables of the ingress.
        import_path: Import path of the builder.
        options: Further options of the model's deployment.
    """
    small = {"ray_actor_options": {"num_cpus": 0.01}}
    names = [*dict.fromkeys(NAMES.values()), "GraphState"]
    deployments: list[dict[str, Any]] = [{"name": name} | small for name in names if name != MODEL]
    model = {
        "name": MODEL,
        "num_replicas": replicas,
        "max_queued_requests": 4096,
        "user_config": {"max_batch_items": BATCH_ITEMS},
    }
    deployments.append(small | model | options)
    deployments.append({"name": "Ingress", "user_config": dict(ingress)} | small)
    python_path = f"{ROOT}:{ROOT / 'tests' / 'support'}"
    application = {
        "name": "voxgraph",
        "route_prefix": "/",
        "import_path": import_path,
        "args": {},
        "runtime_env": {"env_vars": {"PYTHONPATH": python_path, BATCH_S: str(batch_s)}},
        "deployments": deployments,
    }
    http = {"host": "127.0.0.1", "port": 8000}
    return {"proxy_location": "HeadOnly", "http_options": http, "applications": [application]}
