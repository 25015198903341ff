"""The simulated graph on a real cluster, autoscaled as in production but within seconds."""

from typing import Any

from launched import ROOT, Launched
from ray import serve
from ray.serve.schema import ServeDeploySchema

from deployments.graph import MODEL_OPTIONS
from deployments.launch.launcher import deploy

FAST: dict[str, Any] = {
    "policy": {"policy_function": "deployments.replica.autoscaling:follow_audio"},
    "min_replicas": 1,
    "max_replicas": 4,
    "target_ongoing_requests": 16,
    "metrics_interval_s": 1.0,
    "look_back_period_s": 3.0,
    "upscale_delay_s": 1.0,
    "downscale_delay_s": 4.0,
}
SMALL = {"num_cpus": 0.05}
SHARE = 0.15
"""Share of the cluster's one simulated GPU that each replica requests."""


def graph(version: str = "1") -> dict[str, Any]:
    """Return the Serve configuration; a new version restarts every replica."""
    return {
        "http_options": {"host": "127.0.0.1"},
        "logging_config": {"encoding": "JSON"},
        "applications": [
            {
                "name": "simulated",
                "route_prefix": "/",
                "import_path": "simulated:build",
                "args": {"version": version},
                "runtime_env": {"env_vars": {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'support'}"}},
                "deployments": [
                    {"name": "Door", "ray_actor_options": SMALL},
                    {
                        "name": "Often",
                        "num_replicas": "auto",
                        "autoscaling_config": FAST,
                        "ray_actor_options": SMALL | {"num_gpus": SHARE},
                        "max_surge_percent": MODEL_OPTIONS["max_surge_percent"],
                    },
                    {
                        "name": "Rarely",
                        "num_replicas": "auto",
                        "autoscaling_config": FAST | {"min_replicas": 0},
                        "ray_actor_options": SMALL | {"num_gpus": SHARE},
                    },
                ],
            }
        ],
    }


def redeploy(launched: Launched, version: str) -> None:
    """Deploy the graph with a new version, as ``serve deploy`` does."""
    schema = ServeDeploySchema.model_validate(graph(version))
    schema.http_options.port = launched.port
    deploy(schema)


def replicas(deployment: str) -> int | None:
    """Return the number of running replicas, or None while Serve rebuilds the graph."""
    status = serve.status().applications["simulated"].deployments.get(deployment)
    return None if status is None else int(status.replica_states.get("RUNNING", 0))
