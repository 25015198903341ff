"""preStop of a worker: end what is being answered here, let Serve start the replicas elsewhere first.

Ray is told that the node is going: nothing new is placed on it, its proxy fails ``/-/healthz`` so that no
new request comes, and each replica leaves once its replacement runs and its requests have ended. Where no
head can be told, only the wait is left. ``python deploy/drain.py SECONDS``
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

POLL_S = 1.0
TOLD_S = 60.0
SERVING = ("ray::ServeReplica", "ray::ProxyActor", "ray::HAProxyManager")
"""How Ray titles the processes that have requests in them."""


def tell(seconds: int) -> None:
    """Mark this node as draining, to be gone after some seconds."""
    command = [
        str(Path(sys.executable).with_name("ray")), "drain-node",
        # The other reason, idleness, is refused where anything runs.
        "--reason", "DRAIN_NODE_REASON_PREEMPTION",
        "--reason-message", "the pod is terminating",
        "--deadline-remaining-seconds", str(seconds),
    ]  # fmt: skip
    try:
        subprocess.run(command, check=True, timeout=TOLD_S)
    except (subprocess.SubprocessError, OSError) as error:
        print(f"The cluster was not told: {error}", file=sys.stderr)


def serving() -> int:
    """How many processes of this machine may have requests in them."""
    names = [process.info["cmdline"] or [""] for process in psutil.process_iter(["cmdline"])]
    return sum(name[0].startswith(SERVING) for name in names)


def wait(deadline: float, count: Callable[[], int] = serving) -> bool:
    """Whether nothing serves any more at a moment of ``time.monotonic``, or before."""
    while count():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def main(seconds: str) -> int:
    """Tell and wait, together no longer than the seconds; 1 where something serves still."""
    deadline = time.monotonic() + int(seconds)
    tell(int(seconds))
    return 0 if wait(deadline) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
