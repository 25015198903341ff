"""Bring the graph up on this machine: Ray, Serve, a display that names what is ready, and a clean end."""

import contextlib
import importlib.util
import logging
import os
import signal
import socket
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
import ray
import yaml
from pydantic import ValidationError
from ray import serve
from ray.exceptions import RayActorError
from ray.serve._private import api as serve_api
from ray.serve._private.application_state import StatusOverview
from ray.serve._private.client import ServeControllerClient
from ray.serve.schema import RayActorOptionsSchema, ServeDeploySchema
from rich.console import Console
from rich.live import Live
from rich.table import Table

from deployments.launch import environment

POLL_S = 1.0
"""Asking more often takes the cores from the models that start."""
CLEAN_UP_S = 10.0

OUR_GRAPH = "deployments.graph:build"
MEMORY_FOLDER = "/dev/shm"
"""Where an object store that is full puts recordings: into memory all the same, never on a disk."""
PROXY_TIMEOUT_S = 300
"""Serve itself gives its proxy 60 s to start, which a loaded machine may need more of."""


class LaunchFailed(Exception):
    """The graph did not become healthy; the sentence says why and what to do."""


def launch(config: Path, *, port: int | None = None, timeout_s: float = 600.0) -> None:
    """Serve a configuration file on a cluster of this machine alone, until SIGINT or SIGTERM.

    Args:
        config: A Serve configuration file.
        port: Listens here instead of the file's port.
        timeout_s: Seconds that the graph may take to become healthy.

    Raises:
        LaunchFailed: The file is wrong, the port is taken, the machine is too small, or a deployment
            failed; everything that was started is stopped.
    """
    console = Console()
    started = time.monotonic()
    schema = read_config(config, port)
    check_port(schema)
    with (
        tempfile.TemporaryDirectory(prefix="voxgraph-") as folder,
        stop_signals() as stop,
        local_cluster(Path(folder)),
    ):
        check_resources(schema)
        client = deploy(schema)
        wait_until_healthy(client, schema, console, started + timeout_s, stop)
        if not stop:
            announce(schema, console, time.monotonic() - started)
        while not stop:
            time.sleep(POLL_S)
        console.print("Stopping ...")


def read_config(path: Path, port: int | None = None) -> ServeDeploySchema:
    """Parse a Serve configuration file.

    Raises:
        LaunchFailed: It cannot be read or Serve's schema refuses it.
    """
    try:
        schema = ServeDeploySchema.model_validate(yaml.safe_load(path.read_text()))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise LaunchFailed(f"{path} is not a Serve configuration file: {error}") from error
    if port is not None:
        schema.http_options.port = port
    return schema


def check_port(schema: ServeDeploySchema) -> None:
    """Refuse a port that something else listens on: Serve itself would only log it."""
    host, port = schema.http_options.host, schema.http_options.port
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise LaunchFailed(f"cannot listen on {host}:{port}: {error.strerror}; try --port") from error


def check_resources(schema: ServeDeploySchema) -> None:
    """Refuse a graph that this machine cannot hold: Serve would wait for more nodes for ever."""
    have = ray.cluster_resources()
    for resource, need in needs(schema).items():
        if need > have.get(resource, 0.0) + 1e-6:
            raise LaunchFailed(
                f"the graph needs {need:g} {resource}, this machine has {have.get(resource, 0.0):g}; "
                "config/demo.yaml fits two cores and no GPU"
            )


def needs(schema: ServeDeploySchema) -> dict[str, float]:
    """CPU and GPU that one replica of each deployment takes, those that the file does not name included."""
    total = {"CPU": 0.0, "GPU": 0.0}
    for application in schema.applications:
        options = _defaults(application.import_path)
        for deployment in application.deployments:
            if isinstance(given := deployment.ray_actor_options, RayActorOptionsSchema):
                options[deployment.name] = given.model_dump(exclude_none=True)
        for taken in options.values():
            total["CPU"] += taken.get("num_cpus", 1.0)  # What a file says replaces our options, not Ray's.
            total["GPU"] += taken.get("num_gpus", 0.0)
    return total


def _defaults(import_path: str) -> dict[str, dict[str, Any]]:
    """What each deployment takes of a node where the file says nothing."""
    if import_path != OUR_GRAPH:
        return {}
    # Only here: a graph of somebody else's starts without all that ours imports.
    from deployments.graph import DEFAULTS

    return {name: options["ray_actor_options"] for name, options in DEFAULTS.items()}


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
    """A list that is empty until SIGINT or SIGTERM comes; a second one ends the process at once."""
    received: list[int] = []

    def receive(number: int, _frame: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    previous = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def local_cluster(folder: Path) -> Iterator[None]:
    """A Ray cluster of this machine alone, with no process left behind at the end.

    Args:
        folder: Of this cluster alone; see `environment.of_one_machine`.
    """
    environment.apply(environment.of_one_machine(folder))
    os.environ.pop("RAY_ADDRESS", None)
    # The progress display names what is ready; what Serve logs on top of it stays in its log files.
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ray.init(
        address="local",
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.WARNING,
        object_spilling_directory=MEMORY_FOLDER,
        _system_config={"automatic_object_spilling_enabled": False},
    )
    # Ray's native handler of SIGTERM took the place of ours, and aborts the process.
    for number, handler in handlers.items():
        signal.signal(number, handler)
    try:
        yield
    finally:
        started = psutil.Process().children(recursive=True)
        serve.shutdown()
        ray.shutdown()
        end_all(started)


def end_all(processes: list[psutil.Process]) -> None:
    """Wait for processes to end by themselves, then end them."""
    _, alive = psutil.wait_procs(processes, timeout=CLEAN_UP_S)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=CLEAN_UP_S)


def deploy(schema: ServeDeploySchema) -> ServeControllerClient:
    """Hand the file to Serve as ``serve run`` does: the Python API has no public call for a file.

    Returns:
        What asks Serve's controller.

    Raises:
        LaunchFailed: Serve's HTTP proxy did not start.
    """
    serve_api.HTTP_PROXY_TIMEOUT = PROXY_TIMEOUT_S
    try:
        client = serve_api.serve_start(
            http_options=schema.http_options.model_dump(),
            proxy_location=schema.proxy_location,
            global_logging_config=schema.logging_config,
        )
    except (RayActorError, TimeoutError) as error:
        # Serve itself gives up a proxy that is not ready in time, and kills it.
        raise LaunchFailed("Serve's HTTP proxy did not start in time; is this machine overloaded?") from error
    client.deploy_apps(schema)
    return client


def wait_until_healthy(
    client: ServeControllerClient,
    schema: ServeDeploySchema,
    console: Console,
    deadline: float,
    stop: list[int],
) -> None:
    """Show each deployment as it becomes ready, until all are and HTTP answers, or a stop signal comes.

    ``serve.status()`` would tell all of them too, but pickles a class for every deployment each time: 6 of
    the 92 processor seconds that the demo graph takes to start.

    Raises:
        LaunchFailed: A deployment failed, or `deadline` (of ``time.monotonic``) has passed.
    """
    ready_at: dict[str, float] = {}
    started = time.monotonic()
    with Live(console=console, auto_refresh=False) as live:
        while not stop:
            overviews = client.list_serve_statuses()
            for overview in overviews:
                for deployment in overview.deployment_statuses:
                    if deployment.status == "HEALTHY":
                        ready_at.setdefault(deployment.name, time.monotonic() - started)
            live.update(progress(overviews, ready_at), refresh=True)
            check_not_failed(overviews)
            if is_running(schema, overviews) and answers(address(schema) + "/health"):
                return
            if time.monotonic() > deadline:
                waiting = sorted(set(deployment_names(overviews)) - set(ready_at))
                raise LaunchFailed(f"not healthy in time; still waiting for {', '.join(waiting) or 'HTTP'}")
            time.sleep(POLL_S)


def check_not_failed(overviews: list[StatusOverview]) -> None:
    """Raise with Serve's own reason when an application or a deployment failed."""
    for overview in overviews:
        if overview.app_status.status in ("DEPLOY_FAILED", "UNHEALTHY"):
            reasons = [d.message for d in overview.deployment_statuses if d.status != "HEALTHY" and d.message]
            raise LaunchFailed("\n".join([overview.app_status.message, *reasons]))


def is_running(schema: ServeDeploySchema, overviews: list[StatusOverview]) -> bool:
    """Whether every application of the file runs."""
    run = {overview.name for overview in overviews if overview.app_status.status == "RUNNING"}
    return run >= {application.name for application in schema.applications}


def deployment_names(overviews: list[StatusOverview]) -> list[str]:
    """The names of all deployments that Serve knows of."""
    return [deployment.name for overview in overviews for deployment in overview.deployment_statuses]


def progress(overviews: list[StatusOverview], ready_at: dict[str, float]) -> Table:
    """A line per deployment: ready since when, or starting."""
    table = Table(box=None, show_header=False)
    for name in deployment_names(overviews):
        done = f"[green]ready[/] after {ready_at[name]:.1f} s" if name in ready_at else "[yellow]starting[/]"
        table.add_row("  " + name, done)
    return table


def address(schema: ServeDeploySchema) -> str:
    """The address that a client on this machine uses."""
    host = schema.http_options.host
    return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{schema.http_options.port}"


def answers(url: str) -> bool:
    """Whether a GET is answered 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def sample_recording() -> str:
    """Path of a conversation of two people, 30 s: the one inside the pyannote.audio package."""
    package = importlib.util.find_spec("pyannote.audio")
    if package is None or package.origin is None:
        raise LaunchFailed("the package pyannote.audio is not installed")
    return shortest(Path(package.origin).parent / "sample" / "sample.wav")


def shortest(path: Path) -> str:
    """A path as one would type it here."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def announce(schema: ServeDeploySchema, console: Console, seconds: float) -> None:
    """Print the address and a line that answers everything about a real conversation."""
    console.print(f"\nvoxgraph is healthy after {seconds:.1f} s: {address(schema)} (docs at /docs)\n")
    console.print("Ask everything about a real conversation:\n")
    print(f"  curl -F file=@{sample_recording()} {address(schema)}/v1/analyze\n")
    console.print("Ask from Python, without HTTP:\n")
    cluster = f"RAY_AUTH_MODE=token RAY_ADDRESS={ray.get_runtime_context().gcs_address}"
    print(f"  {cluster} {shortest(Path(sys.executable))} examples/handles.py {sample_recording()}\n")
    console.print("Ctrl-C stops.")
