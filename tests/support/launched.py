"""Starts the service like `make serve`, on a free port, and observes it."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import httpx2
import psutil

from benchmarks.processes import kind_of
from deployments.launch.environment import free_ports

ROOT = Path(__file__).parents[2]
START_LIMIT_S = 500
INGRESSES = 3
"""Number of ingress replicas of the shared test graph."""


@dataclass
class Launched:
    """A running ``python -m deployments CONFIG`` and its output."""

    process: "subprocess.Popen[str]"
    port: int
    lines: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        return "".join(self.lines)

    @property
    def ray_address(self) -> str:
        found = re.search(r"RAY_ADDRESS=(\S+)", self.output)
        assert found, self.output
        return found.group(1)

    def wait_for(self, text: str, limit_s: float = START_LIMIT_S) -> None:
        deadline = time.monotonic() + limit_s
        while text not in self.output:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.1)

    def processes(self) -> list[psutil.Process]:
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def replicas(self, deployment: str) -> list[psutil.Process]:
        found = []
        for process in self.processes():
            # A decoder may be replaced meanwhile.
            with contextlib.suppress(psutil.NoSuchProcess):
                if kind_of(process.cmdline()) == deployment:
                    found.append(process)
        return found

    def ingress_url(self) -> str:
        """Return the URL of one ingress replica, bypassing HAProxy."""
        for connection in self.replicas("Ingress")[0].net_connections():
            if connection.status == psutil.CONN_LISTEN:
                url = f"http://127.0.0.1:{connection.laddr.port}"
                with contextlib.suppress(httpx2.HTTPError):
                    if httpx2.get(f"{url}/queue-status", timeout=5).status_code == 200:
                        return url
        raise AssertionError("The ingress replica has no HTTP port.")

    @contextlib.contextmanager
    def driver(self) -> Iterator[None]:
        """Connect this process to the cluster as a driver."""
        # Imported here because Ray reads at import how to authenticate, which conftest sets.
        import ray
        from ray.serve.context import _set_global_client

        ray.init(address=self.ray_address, log_to_driver=False, logging_level="error")
        try:
            yield
        finally:
            # Otherwise Serve's client would keep calling the controller of this cluster.
            _set_global_client(None)
            ray.shutdown()

    def stop(self, signal_number: int = signal.SIGINT) -> int:
        self.process.send_signal(signal_number)
        return self.process.wait(timeout=90)


def launch(config: Path, *arguments: str, module: Sequence[str] = ("deployments",)) -> Launched:
    """Start a graph by a module of Python and its first arguments."""
    (port,) = free_ports(1)
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
    process = subprocess.Popen(
        [sys.executable, "-m", *module, str(config), "--port", str(port), *arguments],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    launched = Launched(process, port)

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            launched.lines.append(line)

    threading.Thread(target=read, daemon=True).start()
    return launched


@contextlib.contextmanager
def running(config: Path) -> Iterator[Launched]:
    launched = launch(config)
    try:
        launched.wait_for("Ctrl-C stops.")
        yield launched
    finally:
        if launched.process.poll() is None:
            launched.stop()


def sample_path() -> Path:
    package = find_spec("pyannote.audio")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "sample" / "sample.wav"
