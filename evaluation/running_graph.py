"""Start the graph of a configuration file for the time of an evaluation."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from deployments.launch.environment import free_ports
from evaluation.errors import GraphError

HEALTHY = "voxgraph is healthy after"
"""What the launcher prints when every model is ready."""
START_LIMIT_S = 3600
"""Seconds that the graph may take to start, the download of its checkpoints included."""
STOP_LIMIT_S = 90


@contextlib.contextmanager
def started(config: Path) -> Iterator[str]:
    """Start ``python -m deployments CONFIG`` on a free port, yield its URL, and stop it.

    What it prints goes to stderr.

    Raises:
        GraphError: The graph did not start; the reason is on stderr.
    """
    (port,) = free_ports(1)
    options = ["--port", str(port), "--timeout", str(START_LIMIT_S)]
    process = subprocess.Popen(
        [sys.executable, "-m", "deployments", str(config), *options],
        env=os.environ | {"PYTHONUNBUFFERED": "1", "COLUMNS": "200"}, stdout=subprocess.PIPE, text=True,
        start_new_session=True,  # Ctrl-C reaches only this process, which stops the graph once.
    )  # fmt: skip
    try:
        _wait_until_healthy(process, config)
        yield f"http://127.0.0.1:{port}"
    finally:
        _stop(process)


def _wait_until_healthy(process: "subprocess.Popen[str]", config: Path) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        sys.stderr.write(line)
        if HEALTHY in line:
            threading.Thread(target=_discard, args=(process.stdout,), daemon=True).start()
            return
    raise GraphError(f"The graph of {config} did not start.")


def _discard(lines: Iterator[str]) -> None:
    """Read what comes after, so that the launcher never waits for a full pipe."""
    for _ in lines:
        pass


def _stop(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
