"""The graph: every deployment, its class, its name and all its options, on one page.

A new model needs, besides its `ModelKey`, checkpoint row and pipeline:

1. a row in `deployments.loading.PIPELINES`, or, if it takes more than one recording, its own deployment class
   (as in `deployments.diarization`) and a row in `CLASSES`;
2. a row in `NAMES`, which gives it `MODEL_OPTIONS`; other options go into `DEFAULTS`;
3. a call in `deployments.questions`, which composes the models.

`build` is the ``import_path`` of the configuration files; what a file sets under ``deployments`` overrides
the options here. (No ``from __future__ import annotations`` in this module: Serve reads the annotation of
`build` to parse ``args``.)
"""

from typing import Any

from ray import serve
from ray.serve.config import RequestRouterConfig

from config.settings import BatchTunables, GraphSettings, GraphStateTunables, IngressTunables
from deployments.diarization import Diarization
from deployments.ingress import Ingress
from deployments.loading import PIPELINES, deployed_models
from deployments.models import WaveformModel
from deployments.state.gallery import Gallery
from deployments.state.graph_state import GraphState
from pipelines.routing import ENCODERS
from voxgraph.options import ModelKey

CLASSES: dict[ModelKey, type[Any]] = dict.fromkeys(PIPELINES, WaveformModel) | {
    ModelKey.DIARIZATION_31: Diarization,
    ModelKey.DIARIZATION_COMMUNITY_1: Diarization,
}
"""Deployment class of each model."""

NAMES: dict[ModelKey, str] = {
    ModelKey.LANGUAGE: "Language",
    ModelKey.SPEAKER_VOXCELEB: "SpeakerVoxceleb",
    ModelKey.SPEAKER_CNCELEB: "SpeakerCnceleb",
    ModelKey.ACCENT_XLSR: "AccentXlsr",
    ModelKey.ACCENT_ECAPA: "AccentEcapa",
    ModelKey.DEEPFAKE: "Deepfake",
    ModelKey.DIARIZATION_31: "Diarization",
    ModelKey.DIARIZATION_COMMUNITY_1: "Diarization",
}
"""Deployment name of each model in configuration files and metrics."""

OPTIONS: dict[str, Any] = {
    "num_replicas": 1,
    "ray_actor_options": {"num_cpus": 1, "num_gpus": 0},
    # A single replica is replaced without a gap: the new one answers before the old one stops.
    "max_surge_percent": 100,
    "health_check_period_s": 1,
    "health_check_timeout_s": 30,
}
"""Options of every deployment."""

MODEL_OPTIONS: dict[str, Any] = OPTIONS | {
    # The batcher can only batch what waits in the replica, so admit far more than one batch.
    "max_ongoing_requests": 64,
    "max_queued_requests": 128,
    "user_config": BatchTunables().model_dump(),
    "graceful_shutdown_timeout_s": 60,
    "request_router_config": RequestRouterConfig(
        request_router_class="deployments.transport.router:LeastOutstandingRouter"
    ),
}
"""Options of every model deployment."""

DIARIZATION_OPTIONS: dict[str, Any] = MODEL_OPTIONS | {
    # The target is two parts, so that long conversations add replicas, which finish them sooner.
    "user_config": BatchTunables(target_audio_s=50.0, max_run_s=1800.0).model_dump(),
    "graceful_shutdown_timeout_s": 1800,
}

INGRESS_OPTIONS: dict[str, Any] = OPTIONS | {
    # `IngressTunables.max_requests` takes effect first: Serve's own refusal has no Retry-After header.
    "max_ongoing_requests": 4096,
    "max_queued_requests": 4096,
    "user_config": IngressTunables().model_dump(),
    # The longest request: Serve's `request_timeout_s`, which is above every deadline of ours.
    "graceful_shutdown_timeout_s": 1920,
}

STATE_OPTIONS: dict[str, Any] = OPTIONS | {
    # One replica, so that there is one count; a waiting request is a coroutine and costs almost nothing.
    "num_replicas": 1,
    "ray_actor_options": {"num_cpus": 0.1, "num_gpus": 0},
    "max_ongoing_requests": 10_000,
    "user_config": GraphStateTunables().model_dump(),
    "graceful_shutdown_timeout_s": 5,
}
"""Options of the state that all ingress replicas share."""

GALLERY_OPTIONS: dict[str, Any] = OPTIONS | {
    # One writer. A folder is on one machine: several machines need a resource that pins the replica to it.
    "num_replicas": 1,
    "ray_actor_options": {"num_cpus": 0.2, "num_gpus": 0},
    "max_ongoing_requests": 64,
    "max_queued_requests": 256,
    "user_config": {},
    "graceful_shutdown_timeout_s": 30,
}
"""Options of what keeps the galleries of voices, in a graph with `GraphSettings.state`."""

DEFAULTS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(NAMES.values(), MODEL_OPTIONS),
    "Diarization": DIARIZATION_OPTIONS,
    "Gallery": GALLERY_OPTIONS,
    "GraphState": STATE_OPTIONS,
    "Ingress": INGRESS_OPTIONS,
}
"""Options by deployment name; a configuration file overrides them."""


def build(settings: GraphSettings) -> serve.Application:
    """Bind models, shared state and ingress; `settings` are the ``args`` in the configuration file."""
    bound: dict[ModelKey, serve.Application] = {}
    models: dict[ModelKey, serve.Application] = {}
    for key, deployed in deployed_models(settings).items():
        if deployed not in bound:
            bound[deployed] = _define(CLASSES[deployed], NAMES[deployed]).bind(deployed, settings)
        models[key] = bound[deployed]
    state = _define(GraphState, "GraphState").bind()
    encoders = {key: models[key] for key in ENCODERS if key in models}
    gallery = None if settings.state is None else _define(Gallery, "Gallery").bind(settings.state, encoders)
    return _define(Ingress, "Ingress").bind(settings, models, state, gallery)


def deployment_names(settings: GraphSettings) -> set[str]:
    """Return the names of all deployments of a graph."""
    names = {*(NAMES[key] for key in deployed_models(settings).values()), "GraphState", "Ingress"}
    return names if settings.state is None else names | {"Gallery"}


def _define(deployed: type[Any], name: str) -> serve.Deployment:
    return serve.deployment(deployed).options(name=name, **DEFAULTS[name])
