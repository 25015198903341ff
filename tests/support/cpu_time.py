"""How long Python computes for something, whatever else the machine does meanwhile."""

import os
import resource
import subprocess
import sys

from launched import ROOT

TRIES = 10


def cpu_seconds(*arguments: str) -> float:
    """Return the CPU seconds of the shortest of `TRIES` runs of Python in a new process."""
    return min(_once(arguments) for _ in range(TRIES))


def _once(arguments: tuple[str, ...]) -> float:
    # As users have it: what was imported once is there as bytecode.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT, env=environment, check=True, timeout=60, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
