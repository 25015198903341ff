"""Launcher of the graph on this machine: starts Ray and Serve, shows progress, and stops them cleanly."""

import contextlib
import importlib.util
import logging
import os
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import psutil
import ray
from pydantic import ValidationError
from ray import serve
from ray.exceptions import RayActorError
from ray.serve._private import api as serve_api
from ray.serve._private.application_state import StatusOverview
from ray.serve._private.client import ServeControllerClient
from ray.serve.schema import ServeDeploySchema
from rich.console import Console
from rich.live import Live
from rich.table import Table

from config.settings import HTTP_HOST
from deployments.api.schemas.health import HealthAnswer
from deployments.launch import environment, private
from deployments.launch.configuration import (
    LOOPBACK_HOST,
    LaunchFailed,
    address,
    behind_haproxy,
    check_port,
    check_resources,
    exposure_warning,
    read_config,
)

POLL_S = 1.0
"""Seconds between two status checks; shorter intervals take CPU time from the models that start."""
EXIT_TIMEOUT_S = 10.0
"""Seconds that processes may take to exit before they are killed."""

PROXY_TIMEOUT_S = 300
"""Seconds that Serve's proxy may take to start; Serve's own 60 s are too few on a loaded machine."""


def launch(
    config: Path, *, port: int | None = None, state: str | None = None, timeout_s: float = 600.0
) -> None:
    """Serve a configuration file on a single-machine cluster until SIGINT or SIGTERM.

    Args:
        config: Path of a Serve configuration file.
        port: HTTP port; None for the one in the file.
        state: Folder or database of the galleries; None for the one in the file, if any.
        timeout_s: Seconds that the graph may take to become healthy.

    Raises:
        LaunchFailed: The file is wrong, the port is in use, the machine is too small, or a deployment
            failed; everything that was started is stopped.
    """
    console = Console()
    started = time.monotonic()
    schema = read_config(config, port, state)
    check_port(schema)
    if warning := exposure_warning(schema):
        console.print(f"[bold]Warning:[/] {warning}\n")
    with (
        tempfile.TemporaryDirectory(prefix="voxgraph-") as folder,
        stop_signals() as stop,
        local_cluster(Path(folder), schema.http_options.host),
    ):
        check_resources(schema)
        client = deploy(behind_haproxy(schema))
        wait_until_healthy(client, schema, console, started + timeout_s, stop)
        if not stop:
            print_usage(schema, console, time.monotonic() - started)
        while not stop:
            time.sleep(POLL_S)
        console.print("Stopping ...")


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Yield a list that stays empty until SIGINT or SIGTERM arrives; a second signal interrupts at once."""
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
def local_cluster(folder: Path, http_host: str = LOOPBACK_HOST) -> Iterator[None]:
    """Run a Ray cluster on this machine alone, with a `folder` of its own, and leave no process behind.

    All its processes listen on the loopback; HAProxy alone listens for clients on `http_host`. What Ray
    writes is of this user alone, with its token for access to the cluster.
    """
    environment.apply(environment.single_machine_environment(folder))
    os.environ[HTTP_HOST] = http_host
    os.environ.pop("RAY_ADDRESS", None)
    os.umask(private.PRIVATE_UMASK)
    private.protect_token()
    private.switch_off_core_dumps()
    # The progress table shows what is ready; further log lines stay in Serve's log files.
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ray.init(
        address="local",
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.WARNING,
        _temp_dir=str(private.session_folder()),
        object_spilling_directory="/dev/shm",  # In memory, so that recordings never reach a disk.
        _system_config={"automatic_object_spilling_enabled": False},
    )
    # Ray has replaced our SIGTERM handler by a native one that aborts the process.
    for number, handler in handlers.items():
        signal.signal(number, handler)
    try:
        yield
    finally:
        started = psutil.Process().children(recursive=True)
        serve.shutdown()
        ray.shutdown()
        wait_or_kill(started)


def wait_or_kill(processes: list[psutil.Process]) -> None:
    """Wait `EXIT_TIMEOUT_S` for processes to exit, then kill those that have not."""
    _, alive = psutil.wait_procs(processes, timeout=EXIT_TIMEOUT_S)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=EXIT_TIMEOUT_S)


def deploy(schema: ServeDeploySchema) -> ServeControllerClient:
    """Deploy a configuration file as ``serve run`` does, and return the client of Serve's controller.

    Serve has no public function for that.

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
        # Serve kills a proxy that is not ready in time.
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
    """Show each deployment as it becomes ready, until all are and HTTP answers, or a stop signal arrives.

    ``serve.status()`` has the same information but pickles a class for every deployment each time: 6 of the
    92 CPU seconds that a graph of small networks takes to start.

    Raises:
        LaunchFailed: A deployment failed, or `deadline` (on the clock of ``time.monotonic``) has passed.
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
            live.update(progress_table(overviews, ready_at), refresh=True)
            check_not_failed(overviews)
            if is_running(schema, overviews) and responds(address(schema) + "/health"):
                return
            if time.monotonic() > deadline:
                waiting = sorted(set(deployment_names(overviews)) - set(ready_at))
                raise LaunchFailed(f"not healthy in time; still waiting for {', '.join(waiting) or 'HTTP'}")
            time.sleep(POLL_S)


def check_not_failed(overviews: list[StatusOverview]) -> None:
    """Raise `LaunchFailed` with Serve's reason if an application or a deployment has failed."""
    for overview in overviews:
        if overview.app_status.status in ("DEPLOY_FAILED", "UNHEALTHY"):
            reasons = [d.message for d in overview.deployment_statuses if d.status != "HEALTHY" and d.message]
            raise LaunchFailed("\n".join([overview.app_status.message, *reasons]))


def is_running(schema: ServeDeploySchema, overviews: list[StatusOverview]) -> bool:
    """Whether every application of the file runs."""
    run = {overview.name for overview in overviews if overview.app_status.status == "RUNNING"}
    return run >= {application.name for application in schema.applications}


def deployment_names(overviews: list[StatusOverview]) -> list[str]:
    """Return the names of all deployments."""
    return [deployment.name for overview in overviews for deployment in overview.deployment_statuses]


def progress_table(overviews: list[StatusOverview], ready_at: dict[str, float]) -> Table:
    """Return a table with the state of each deployment: starting, or ready after so many seconds."""
    table = Table(box=None, show_header=False)
    for name in deployment_names(overviews):
        done = f"[green]ready[/] after {ready_at[name]:.1f} s" if name in ready_at else "[yellow]starting[/]"
        table.add_row("  " + name, done)
    return table


def responds(url: str) -> bool:
    """Whether a GET request is answered with status 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def checkpoints_that_answer(url: str) -> str:
    """Return a sentence about the checkpoints that ``/health`` names; empty if another graph is served."""
    with urllib.request.urlopen(url + "/health", timeout=5) as response:
        answer = response.read()
    try:
        health = HealthAnswer.model_validate_json(answer)
    except ValidationError:
        return ""
    return " ".join([f"Checkpoints that answer: {health.checkpoints}.", health.notice or ""]).rstrip()


def sample_recording() -> str:
    """Return the path of a 30 s conversation of two people that is part of the pyannote.audio package."""
    package = importlib.util.find_spec("pyannote.audio")
    if package is None or package.origin is None:
        raise LaunchFailed("the package pyannote.audio is not installed")
    return short_path(Path(package.origin).parent / "sample" / "sample.wav")


def short_path(path: Path) -> str:
    """Return a path relative to the working directory if it is inside, else as it is."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def driver_variables() -> str:
    """Return the assignments, for a shell, that a program needs to connect to this cluster."""
    given = {name: os.environ[name] for name in environment.DRIVER_ENVIRONMENT if name in os.environ}
    return " ".join(f"{name}={value}" for name, value in {"RAY_AUTH_MODE": "token", **given}.items())


def print_usage(schema: ServeDeploySchema, console: Console, seconds: float) -> None:
    """Print the address, and two commands that analyze a real conversation: over HTTP and from Python."""
    console.print(f"\nvoxgraph is healthy after {seconds:.1f} s: {address(schema)} (docs at /docs)\n")
    if sentence := checkpoints_that_answer(address(schema)):
        console.print(sentence + "\n")
    console.print("Analyze a real conversation:\n")
    print(f"  curl -F file=@{sample_recording()} {address(schema)}/v1/analyze\n")
    console.print("Analyze it from Python, without HTTP:\n")
    cluster = f"{driver_variables()} RAY_ADDRESS={ray.get_runtime_context().gcs_address}"
    print(f"  {cluster} {short_path(Path(sys.executable))} examples/handles.py {sample_recording()}\n")
    console.print("Ctrl-C stops.")
