"""The simulated graph with a model that raises, hangs or dies on recordings of certain lengths."""

import os
import signal
import time
from typing import Any

from ray import serve

from benchmarks import simulated
from config.settings import GraphSettings
from deployments import graph
from voxgraph.options import ModelKey
from voxgraph.results import LanguageResult, Waveform

RAISES_S, HANGS_S, KILLS_S = 2.25, 3.25, 4.25
MAX_RUN_S, DEADLINE_S = 4.0, 15.0


class Faulty(simulated.FixedTime):
    def __call__(self, items: list[Waveform]) -> list[LanguageResult]:
        lengths = {len(item) / 16_000 for item in items}
        if RAISES_S in lengths:
            raise ZeroDivisionError
        if HANGS_S in lengths:
            time.sleep(3600)
        if KILLS_S in lengths:
            # Like the kernel when the process uses too much memory.
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(items)


class FaultyReplica(simulated.Simulated):
    def _load_on_assigned_device(self, model: ModelKey, settings: GraphSettings) -> Any:
        super()._load_on_assigned_device(model, settings)
        return Faulty()


def build(settings: GraphSettings) -> serve.Application:
    graph.CLASSES = dict.fromkeys(ModelKey, FaultyReplica)
    return graph.build(settings)


def config(replicas: int, batch_s: float = 0.05, **options: Any) -> dict[str, Any]:
    ingress = {"deadline_s": DEADLINE_S} | options.pop("ingress", {})
    made = simulated.config(
        replicas, batch_s, ingress=ingress, import_path="faulty:build",
        health_check_period_s=1, health_check_timeout_s=5, **options,
    )  # fmt: skip
    (application,) = made["applications"]
    model = next(one for one in application["deployments"] if one["name"] == simulated.MODEL)
    model["user_config"]["max_run_s"] = MAX_RUN_S
    return made
