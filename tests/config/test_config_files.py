"""The configuration files are valid for Serve, the settings and the graph."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import (
    DeploymentSchema,
    RayActorOptionsSchema,
    ServeApplicationSchema,
    ServeDeploySchema,
)

from config.settings import BatchTunables, GraphSettings, GraphStateTunables, IngressTunables
from deployments.graph import NAMES, build, deployment_names

ROOT = Path(__file__).parents[2]
TUNABLES: dict[str, type[BaseModel]] = {
    "Ingress": IngressTunables,
    "GraphState": GraphStateTunables,
}
FILES = ["serve_config.yaml", "config/starter.yaml", "config/cpu.yaml"]


def application(file: str) -> ServeApplicationSchema:
    schema = ServeDeploySchema.model_validate(yaml.safe_load((ROOT / file).read_text()))
    (only,) = schema.applications
    return only


def settings(file: str) -> GraphSettings:
    return GraphSettings.model_validate(application(file).args)


def actor_options(deployment: DeploymentSchema) -> dict[str, Any]:
    options = deployment.ray_actor_options
    return options.model_dump() if isinstance(options, RayActorOptionsSchema) else {}


def scaling(deployment: DeploymentSchema) -> AutoscalingConfig:
    """Return what Serve makes of ``num_replicas: auto`` and a deployment's own bounds."""
    assert isinstance(deployment.autoscaling_config, dict)
    return AutoscalingConfig(**deployment.autoscaling_config)


def deployments_of(app: Any) -> dict[str, Any]:
    """Return the deployments of a bound application by name."""
    from ray.serve._private.build_app import build_app

    built = build_app(app, name="voxgraph", default_runtime_env={})
    return {deployment.name: deployment for deployment in built.deployments}


@pytest.mark.parametrize("file", FILES)
def test_every_deployment_in_a_file_is_in_the_graph(file: str) -> None:
    named = {deployment.name for deployment in application(file).deployments}

    assert named <= deployments_of(build(settings(file))).keys()


def test_the_graph_has_one_deployment_per_model_the_ingress_and_the_graph_state() -> None:
    expected = {*NAMES.values(), "GraphState", "Ingress"}

    assert deployments_of(build(settings("serve_config.yaml"))).keys() == expected


@pytest.mark.parametrize("file", FILES)
def test_the_user_config_of_a_file_is_valid(file: str) -> None:
    for deployment in application(file).deployments:
        if isinstance(deployment.user_config, dict):
            TUNABLES.get(deployment.name, BatchTunables).model_validate(deployment.user_config)


@pytest.mark.parametrize("file", FILES)
def test_diarization_may_run_until_its_deadline_before_the_replica_counts_as_stuck(file: str) -> None:
    built = {name: d.user_config for name, d in deployments_of(build(settings(file))).items()}
    named = {d.name: d.user_config for d in application(file).deployments if isinstance(d.user_config, dict)}
    diarization, ingress = ((built | named)[name] for name in ("Diarization", "Ingress"))

    allowed_s = BatchTunables.model_validate(diarization).max_run_s
    assert allowed_s >= IngressTunables.model_validate(ingress).diarization_deadline_s


def test_one_gpu_fits_all_production_models_and_one_more_replica_of_the_largest() -> None:
    shares = [actor_options(d).get("num_gpus") or 0 for d in application("serve_config.yaml").deployments]

    assert sum(share > 0 for share in shares) == 7
    assert sum(shares) + max(shares) <= 1.0


@pytest.mark.parametrize("file", ["config/starter.yaml", "config/cpu.yaml"])
def test_the_files_for_cpus_request_no_gpu(file: str) -> None:
    assert not any(actor_options(d).get("num_gpus") for d in application(file).deployments)


@pytest.mark.parametrize("file", ["serve_config.yaml", "config/cpu.yaml"])
def test_every_autoscaled_model_uses_the_follow_audio_policy(file: str) -> None:
    scaled = {d.name: scaling(d) for d in application(file).deployments if d.is_autoscaling_configured()}

    for name in {*NAMES.values()} & {*scaled}:
        assert scaled[name].policy.get_policy().__name__ == "follow_audio", name
    assert scaled.keys() & {*NAMES.values()}


@pytest.mark.parametrize("file", ["serve_config.yaml", "config/cpu.yaml"])
def test_the_look_back_period_covers_the_metrics_interval_and_the_upscale_delay(file: str) -> None:
    """Otherwise decisions use metrics from before the last one took effect; Serve warns about such values."""
    for deployment in application(file).deployments:
        if deployment.is_autoscaling_configured():
            config = scaling(deployment)
            assert config.look_back_period_s > config.metrics_interval_s
            assert config.look_back_period_s >= config.upscale_delay_s
            assert config.downscale_delay_s >= config.upscale_delay_s


@pytest.mark.parametrize("file", ["serve_config.yaml", "config/starter.yaml"])
def test_a_single_replica_is_replaced_without_downtime(file: str) -> None:
    from ray.serve._private.build_app import build_app

    built = build_app(build(settings(file)), name="voxgraph", default_runtime_env={})

    for deployment in built.deployments:
        assert deployment._deployment_config.max_surge_percent == 100, deployment.name


def test_production_autoscales_every_deployment_and_bounds_its_queue() -> None:
    found = application("serve_config.yaml").deployments

    assert {deployment.name for deployment in found} == {*NAMES.values(), "Ingress"}
    for deployment in found:
        assert deployment.autoscaling_config is not None
        assert deployment.max_queued_requests > 0


def test_production_takes_every_checkpoint_from_the_hub() -> None:
    assert settings("serve_config.yaml").default_checkpoint.source == "hub"
    assert settings("serve_config.yaml").checkpoints == {}


def test_the_starter_takes_every_checkpoint_from_the_repository() -> None:
    assert settings("config/starter.yaml").default_checkpoint.source == "starter"
    assert settings("config/starter.yaml").checkpoints == {}


def test_the_starter_fits_on_two_cores_without_a_gpu() -> None:
    named = application("config/starter.yaml").deployments

    assert {deployment.name for deployment in named} == deployment_names(settings("config/starter.yaml"))
    assert sum(actor_options(d)["num_cpus"] for d in named) <= 2
    assert not any(actor_options(d).get("num_gpus") for d in named)
