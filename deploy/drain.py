"""Drain a worker before its pod stops (preStop hook): ``python deploy/drain.py SECONDS``.

Marks the node as draining in Ray: nothing new is placed on it, its proxy fails ``/-/healthz`` so that it gets
no new requests, and each replica stops once its replacement runs and its own requests have ended. If no head
can be reached, the script only waits for running requests.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

POLL_S = 1.0
DRAIN_CALL_TIMEOUT_S = 60.0
SERVING_TITLES = ("ray::ServeReplica", "ray::ProxyActor", "ray::HAProxyManager")
"""Process titles of Ray's processes that handle requests."""


def mark_draining(seconds: int) -> None:
    """Mark this node as draining, with a deadline in some seconds; on failure, print the error."""
    command = [
        str(Path(sys.executable).with_name("ray")), "drain-node",
        # Ray rejects the only other reason, idle termination, while anything runs on the node.
        "--reason", "DRAIN_NODE_REASON_PREEMPTION",
        "--reason-message", "the pod is terminating",
        "--deadline-remaining-seconds", str(seconds),
    ]  # fmt: skip
    try:
        subprocess.run(command, check=True, timeout=DRAIN_CALL_TIMEOUT_S)
    except (subprocess.SubprocessError, OSError) as error:
        print(f"Could not mark the node as draining: {error}", file=sys.stderr)


def serving_processes() -> int:
    """Count the processes of this machine that may have requests in flight."""
    names = [process.info["cmdline"] or [""] for process in psutil.process_iter(["cmdline"])]
    return sum(name[0].startswith(SERVING_TITLES) for name in names)


def wait(deadline: float, count: Callable[[], int] = serving_processes) -> bool:
    """Wait until no process serves, or until a deadline of ``time.monotonic``; return whether none serves."""
    while count():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def main(seconds: str) -> int:
    """Mark the node and wait, for `seconds` in total; return 1 if a process still serves."""
    deadline = time.monotonic() + int(seconds)
    mark_draining(int(seconds))
    return 0 if wait(deadline) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
