"""The configuration file of `make serve`: read it, and find out what would keep it from being served."""

import os
import socket
from pathlib import Path
from typing import Any

import ray
import yaml
from pydantic import ValidationError
from ray.serve.schema import RayActorOptionsSchema, ServeDeploySchema

from config.settings import KEYS_FILE, GraphSettings
from deployments.api.hosts import default_hosts
from deployments.launch import environment

LOOPBACK_HOST = "127.0.0.1"
GRAPH_IMPORT_PATH = "deployments.graph:build"


class LaunchFailed(Exception):
    """The graph did not become healthy; the message says why and what to do."""


def read_config(path: Path, port: int | None = None, state: str | None = None) -> ServeDeploySchema:
    """Parse a Serve configuration file.

    Args:
        path: The file.
        port: Replaces the port of the file.
        state: Replaces `config.settings.GraphSettings.state` of the file; a folder need not be absolute.

    Raises:
        LaunchFailed: The file is unreadable, or Serve rejects it.
    """
    try:
        schema = ServeDeploySchema.model_validate(yaml.safe_load(path.read_text()))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise LaunchFailed(f"{path} is not a Serve configuration file: {error}") from error
    if port is not None:
        schema.http_options.port = port
    if state is not None:
        where = state if "://" in state else str(Path(state).expanduser().absolute())
        for application in schema.applications:
            application.args = {**application.args, "state": where}
    return schema


def check_port(schema: ServeDeploySchema) -> None:
    """Raise `LaunchFailed` if the HTTP port is in use, which Serve itself would only log."""
    host, port = schema.http_options.host, schema.http_options.port
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise LaunchFailed(f"cannot listen on {host}:{port}: {error.strerror}; try --port") from error


def exposure_warning(schema: ServeDeploySchema) -> str | None:
    """Return what a network can do to a graph that it reaches and that asks for no key, or None."""
    host = schema.http_options.host or ""
    args = [application.args for application in schema.applications]
    has_keys = KEYS_FILE in os.environ or any(each.get("api_keys") or each.get("keys_file") for each in args)
    if has_keys or default_hosts(host) is not None:
        return None
    return (
        f"listening on {host} without API keys: everybody who reaches this port can have recordings "
        "analyzed, take all of the machine's time, and compare voices. Set keys_file, or put a proxy that "
        "asks who they are before it (SECURITY.md)."
    )


def check_resources(schema: ServeDeploySchema) -> None:
    """Raise `LaunchFailed` if the graph does not fit this machine: Serve would wait forever for nodes."""
    present = ray.cluster_resources()
    for resource, required in required_resources(schema).items():
        if required > present.get(resource, 0.0) + 1e-6:
            raise LaunchFailed(
                f"the graph needs {required:g} {resource}, this machine has {present.get(resource, 0.0):g}; "
                "config/starter.yaml fits two cores and no GPU"
            )


def required_resources(schema: ServeDeploySchema) -> dict[str, float]:
    """Return the CPUs and GPUs of one replica of every deployment, whether or not the file names it."""
    total = {"CPU": 0.0, "GPU": 0.0}
    for application in schema.applications:
        options = _default_resources(application.import_path, application.args)
        for deployment in application.deployments:
            if isinstance(given := deployment.ray_actor_options, RayActorOptionsSchema):
                options[deployment.name] = given.model_dump(exclude_none=True)
        for taken in options.values():
            total["CPU"] += taken.get("num_cpus", 1.0)  # The file's options replace ours; 1 is Ray's default.
            total["GPU"] += taken.get("num_gpus", 0.0)
    return total


def _default_resources(import_path: str, args: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the resources of each deployment of our graph for which the file gives none."""
    if import_path != GRAPH_IMPORT_PATH:
        return {}
    # Imported only here, so that another graph starts without the imports of ours.
    from deployments.graph import DEFAULTS, deployment_names

    try:
        names = deployment_names(GraphSettings.model_validate(args))
    except ValidationError:
        # The graph itself refuses them, with the reason.
        return {}
    return {name: DEFAULTS[name]["ray_actor_options"] for name in names}


def behind_haproxy(schema: ServeDeploySchema) -> ServeDeploySchema:
    """Return the file with Serve's own servers on the loopback, if HAProxy listens for clients.

    An ingress replica has a port of its own, where a client would pass HAProxy's limits by.
    """
    if os.environ.get(environment.HAPROXY_SWITCH) != "1":
        return schema
    return schema.model_copy(
        update={"http_options": schema.http_options.model_copy(update={"host": LOOPBACK_HOST})}
    )


def address(schema: ServeDeploySchema) -> str:
    """Return the URL for clients on this machine."""
    host = schema.http_options.host
    return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{schema.http_options.port}"
