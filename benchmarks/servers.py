"""Run the naive server and the graph as process trees, and measure their CPU time and memory."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil
import yaml

from benchmarks.processes import kind_of
from config.settings import GraphSettings, Size
from deployments.graph import NAMES
from deployments.launch.environment import free_ports
from deployments.loading import deployed_models
from voxgraph.options import ModelKey

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "benchmarks"
"""Folder of checkpoints, configurations and logs of measurements."""
STARTER_CONFIG = ROOT / "config" / "starter.yaml"
START_LIMIT_S = 900.0
STOP_LIMIT_S = 45.0
IDLE_WINDOW_S = 5.0
DEADLINE_S = 3600.0
"""Deadline of all requests to the graph, since the naive server has none."""


class Server:
    """A command that serves HTTP on a free port.

    Args:
        command: Arguments of Python; ``--port`` is added.
        ready: Text that the server prints once it answers.
        log: File for its output.
        python: Interpreter to run.
        folder: Working directory and import path.
        variables: Environment variables, in addition to those of this process.
    """

    def __init__(
        self,
        command: Sequence[str],
        ready: str,
        log: Path,
        *,
        python: Path = Path(sys.executable),
        folder: Path = ROOT,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._command, self._ready, self._log = [str(python), "-W", "ignore", *command], ready, log
        self._folder, self._variables = folder, variables
        self._process: subprocess.Popen[bytes] | None = None
        (self._port,) = free_ports(1)
        self.ready_s = 0.0
        """Seconds from the start until the server answered."""

    @property
    def url(self) -> str:
        """Base URL of the server."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            RuntimeError: It exited or was not ready in time; the message has the end of its output.
        """
        command = [*self._command, "--port", str(self._port)]
        environment = os.environ | {
            "PYTHONUNBUFFERED": "1",
            "PYANNOTE_METRICS_ENABLED": "false",
            **self._variables,
        }
        started = time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=self._folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        while self._ready not in (printed := self._log.read_text(errors="replace")):
            if self._process.poll() is not None or time.monotonic() - started > START_LIMIT_S:
                raise RuntimeError(f"{' '.join(command)} did not start:\n{printed[-3000:]}")
            time.sleep(0.1)
        self.ready_s = time.monotonic() - started

    def stop(self) -> None:
        """Stop the server with SIGINT, then kill what is left of its process tree."""
        if self._process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            processes = self._processes()
            self._process.send_signal(signal.SIGINT)
            psutil.wait_procs(processes, timeout=STOP_LIMIT_S)
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        self._process.wait()

    def memory_mb(self) -> dict[str, tuple[int, float]]:
        """Return number of processes and their memory (PSS, 10^6 bytes) by kind."""
        found: dict[str, tuple[int, float]] = defaultdict(lambda: (0, 0.0))
        for process in self._processes():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                name, pss = kind_of(process.cmdline()), process.memory_full_info().pss / 1e6
                found[name] = found[name][0] + 1, found[name][1] + pss
        return dict(found)

    def idle_cores(self) -> float:
        """Measure how many cores the server keeps busy without requests."""
        before = sum(self.cpu_s().values())
        time.sleep(IDLE_WINDOW_S)
        return (sum(self.cpu_s().values()) - before) / IDLE_WINDOW_S

    def cpu_s(self) -> dict[str, float]:
        """Return the CPU seconds of its processes so far, by kind."""
        found: dict[str, float] = defaultdict(float)
        for process in self._processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                found[kind_of(process.cmdline())] += times.user + times.system
        return dict(found)

    def kill(self, kind: str) -> None:
        """Send SIGKILL to every process of a kind, as the kernel does when memory runs out."""
        for process in self._processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                if kind_of(process.cmdline()) == kind:
                    process.kill()

    def _processes(self) -> list[psutil.Process]:
        assert self._process is not None
        leader = psutil.Process(self._process.pid)
        return [leader, *leader.children(recursive=True)]


@contextlib.contextmanager
def running(*servers: Server) -> Iterator[None]:
    """Run servers for the duration of the block, started in sequence."""
    try:
        for server in servers:
            server.start()
        yield
    finally:
        for server in servers:
            server.stop()


def naive_server(folder: Path, models: Collection[ModelKey], size: Size, logs: Path) -> Server:
    """Return a naive server that loads some models."""
    command = ["-m", "benchmarks.baselines", str(folder), "--size", size, "--models", *sorted(models)]
    return Server(command, "Uvicorn running on", logs / "naive.log")


def graph_server(config: Path, logs: Path) -> Server:
    """Return the graph of a configuration file, started as by ``make serve``."""
    return Server(["-m", "deployments", str(config)], "Ctrl-C stops.", logs / "graph.log")


def write_graph_config(
    path: Path, folder: Path, models: Collection[ModelKey], sizes: dict[ModelKey, Size], replicas: int
) -> Path:
    """Write a Serve configuration; models that are not measured use those of `STARTER_CONFIG`.

    Args:
        path: File to write.
        folder: Folder with a checkpoint folder per measured model.
        models: Measured models.
        sizes: Architecture size of each model.
        replicas: Replicas of each measured model, all on the same cores.
    """
    args = yaml.safe_load(STARTER_CONFIG.read_text())["applications"][0]["args"]
    sources = {str(key): {"source": str((folder / key).resolve()), "size": str(sizes[key])} for key in models}
    args |= {"checkpoints": args.get("checkpoints", {}) | sources}
    measured = {NAMES[key] for key in models}
    # A starter that takes the places of two models has one deployment.
    deployed = deployed_models(GraphSettings.model_validate(args)).values()
    names = dict.fromkeys(NAMES[key] for key in deployed)
    deployments: list[dict[str, Any]] = [
        {
            "name": name,
            "num_replicas": replicas if name in measured else 1,
            "ray_actor_options": {"num_cpus": 0.05},
        }
        for name in [*names, "Ingress", "GraphState"]
    ]
    # Raise the limits of the old service (5 running, 20 queued) and all deadlines: only speed is measured.
    tunables: dict[str, dict[str, float]] = {
        "GraphState": {"max_running": 64, "max_queued": 256},
        "Ingress": {
            "deadline_s": DEADLINE_S,
            "accent_deadline_s": DEADLINE_S,
            "diarization_deadline_s": DEADLINE_S,
            "diarization_window": replicas + 1,
        },
    }
    for deployment in deployments:
        if deployment["name"] in tunables:
            deployment["user_config"] = tunables[deployment["name"]]
    application = {
        "name": "voxgraph",
        "route_prefix": "/",
        "import_path": "deployments.graph:build",
        "args": args,
        "deployments": deployments,
    }
    http = {"host": "127.0.0.1", "port": 8000, "request_timeout_s": 3600}
    config = {"proxy_location": "HeadOnly", "http_options": http, "applications": [application]}
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path
