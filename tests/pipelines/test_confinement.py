"""What a process that decodes has imported, and what the kernel refuses it."""

import subprocess
import sys
from pathlib import Path

from launched import ROOT


def test_the_processes_import_nothing_of_the_service() -> None:
    code = (
        "import sys, pipelines.audio.workers.processes\n"
        "print(sorted({'ray', 'torch', 'fastapi', 'starlette', 'deployments'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, timeout=60)

    assert done.stdout.split() == [b"[]"]


CONFINED = """
import os, resource, signal, socket, subprocess, sys
from pipelines.audio.workers.confinement import confine

file = os.memfd_create("file")
assert confine(1000)
attempts = {
    "open": lambda: open("/etc/passwd"),
    "write": lambda: open(sys.argv[1], "w"),
    "socket": lambda: socket.socket(),
    "fork": os.fork,
    "run": lambda: subprocess.run(["true"]),
    "kill": lambda: os.kill(os.getppid(), 0),
    "delete": lambda: os.unlink(sys.argv[1]),
    "limit": lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1)),
    "priority": lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 1),
}
for name, attempt in attempts.items():
    try:
        attempt()
    except PermissionError:
        continue
    print(name, "is allowed")
try:
    os.pwrite(file, bytes(1), 1000)
    print("a file may be larger than allowed")
except OSError:
    pass
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
"""


def test_a_confined_process_opens_nothing_starts_nothing_and_kills_nothing(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.touch()
    command = [sys.executable, "-c", CONFINED, str(target)]

    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)

    assert done.stdout == b""
    assert target.exists()
