"""A graph whose models sleep a fixed time per second of audio, without CPU load or torch."""

import logging
import os
import time
from typing import Any

import ray
from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.requests import Request

from config.settings import BatchTunables, GraphSettings
from deployments.replica.model_replica import WaveformReplica, noise
from voxgraph.errors import InferenceError
from voxgraph.options import ModelKey
from voxgraph.results import ModelInfo, Waveform

MODEL_S_PER_AUDIO_S = 0.01
FAILING_S = 7.0
"""A recording of this length fails in the model."""


class SleepingModel:
    """A model that returns each recording's length in samples."""

    info = ModelInfo("language", "simulated", "abc", "hub", "cpu", 1)
    min_samples = 1

    def __call__(self, items: list[Waveform]) -> list[int]:
        time.sleep(MODEL_S_PER_AUDIO_S * sum(len(item) for item in items) / 16_000)
        if any(len(item) == FAILING_S * 16_000 for item in items):
            raise ZeroDivisionError
        return [len(item) for item in items]


class Simulated(WaveformReplica[int]):
    def _load_on_assigned_device(self, model: ModelKey, settings: GraphSettings) -> Any:
        return SleepingModel()

    async def process(self) -> int:
        return os.getpid()

    async def gpu(self) -> tuple[list[str], float]:
        """Return the ids of the GPUs that Ray assigned to this replica, and the assigned share."""
        replica = ray.get_runtime_context()
        return replica.get_accelerator_ids()["GPU"], replica.get_assigned_resources()["GPU"]


class Door:
    """The ingress: sends the requested seconds of noise to the first model."""

    def __init__(self, *models: DeploymentHandle) -> None:
        self._model = models[0]

    async def __call__(self, request: Request) -> str:
        seconds = float(request.query_params.get("seconds", "1"))
        logging.getLogger("ray.serve").warning("Request received")
        try:
            return str(await self._model.answer.remote(noise(seconds)))
        except InferenceError:
            return "failed"


def build(args: dict[str, str]) -> serve.Application:
    """Build the graph; any change of the arguments, such as ``version``, restarts every replica."""
    options = {"user_config": BatchTunables(target_audio_s=60.0).model_dump(), "max_ongoing_requests": 64}
    models = [
        serve.deployment(Simulated).options(name=name, **options).bind(ModelKey.LANGUAGE, GraphSettings())
        for name in ("Often", "Rarely")
    ]
    return serve.deployment(Door).options(name="Door").bind(*models)
