"""The whole graph with one model that takes a fixed time and no processor: all but the models is left.

`build` stands in for `deployments.graph.build` in a configuration file; ``/detect-language`` is answered.
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
from voxgraph.errors import CheckpointError
from voxgraph.options import ModelKey
from voxgraph.results import LanguageResult, ModelInfo, Waveform

BATCH_S = "VOXGRAPH_SIMULATED_BATCH_S"
"""Environment variable: seconds that a batch takes, whatever is in it."""
BATCH_ITEMS = 4
MODEL = "Language"


class FixedTime:
    """Answers each recording with a number that no other recording has."""

    info = ModelInfo("language", "simulated", "simulated", "simulated", "cpu", 1)
    min_samples = 1

    def __call__(self, items: list[Waveform]) -> list[LanguageResult]:
        """Take the time of a batch."""
        time.sleep(float(os.environ[BATCH_S]))
        return [expected(item) for item in items]


class Simulated(WaveformReplica[LanguageResult]):
    """A replica of the language model; every other model says that it has no checkpoint."""

    def _load(self, model: ModelKey, settings: GraphSettings) -> Any:
        if model is not ModelKey.LANGUAGE:
            raise CheckpointError("only the language is simulated.")
        return FixedTime()


def expected(waveform: Waveform) -> LanguageResult:
    """The right answer to a recording: its confidence is a digest of the samples."""
    digest = hashlib.sha256(waveform.tobytes()).digest()
    share = int.from_bytes(digest[:6], "big") / 2**48
    return LanguageResult("en", "English", share, {"en": share})


def build(settings: GraphSettings) -> serve.Application:
    """The graph of `deployments.graph`, its models replaced."""
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
    """A configuration file.

    Args:
        replicas: Of the model, each of which answers `BATCH_ITEMS` recordings in `batch_s` seconds.
        batch_s: Seconds that a batch takes.
        ingress: Its tunables.
        import_path: Of the builder.
        options: More of the model's deployment.
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
