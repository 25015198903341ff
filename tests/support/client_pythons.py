"""Test the client under every Python that it supports and this machine has: ``make test-client``.

Each gets an environment of its own in ``.venv/client-3.x`` with the client and the parts of the service that
its tests ask, which run without Ray and torch. A Python that the machine lacks is named and left out.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
CLUSTER_ONLY = {"openvino", "pyannote.audio", "ray", "speechbrain", "torch", "torchaudio"}
"""What the service needs to run models; not every Python has it."""
SERVER = ("httptools", "uvicorn")
"""What comes with Ray Serve and the application needs."""
TOOLS = ("hypothesis", "matplotlib", "pytest", "pytest-asyncio", "pytest-timeout")
TESTS = ("tests/voxgraph/client", "tests/voxgraph/cli/test_help.py", "tests/voxgraph/cli/test_recordings.py")


def needed() -> list[str]:
    """Return the requirements of the client's tests."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    service = [each for each in project["dependencies"] if re.split(r"[\[><=]", each)[0] not in CLUSTER_ONLY]
    return [str(ROOT / "client"), *service, *SERVER, *TOOLS]


def find(version: str) -> str | None:
    """Return the path of a Python, also of one that pyenv has but does not show."""
    environment = dict(os.environ)
    if shutil.which("pyenv"):
        listed = subprocess.run(["pyenv", "versions", "--bare"], capture_output=True, text=True, check=True)
        environment["PYENV_VERSION"] = ":".join(listed.stdout.split())
    found = subprocess.run(
        [UV, "python", "find", "--no-project", "--no-python-downloads", version],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return found.stdout.strip() or None


def start(version: str, python: str) -> "subprocess.Popen[str]":
    """Install the client for a Python and start its tests."""
    environment = ROOT / ".venv" / f"client-{version}"
    subprocess.run([UV, "venv", "--quiet", "--clear", "--python", python, environment], check=True)
    interpreter = environment / "bin" / "python"
    locked = ["--constraints", ROOT / "requirements" / "dev.txt"]
    build = ["--build-constraints", ROOT / "requirements" / "build.txt"]
    subprocess.run(
        [UV, "pip", "install", "--quiet", "--python", interpreter, *locked, *build, *needed()], check=True
    )
    return subprocess.Popen(
        [interpreter, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", *TESTS],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def main() -> int:
    """Test under all of them at once but the one that runs this, whose turn is in ``make check``."""
    running = {}
    for version in VERSIONS:
        if version == "{}.{}".format(*sys.version_info):
            print(f"Python {version}: tested by make check.", flush=True)
        elif python := find(version):
            running[version] = start(version, python)
        else:
            print(f"Python {version}: not on this machine, so not tested.", flush=True)
    failed = 0
    for version, tests in running.items():
        output, _ = tests.communicate()
        print(f"Python {version}:\n{output}", flush=True)
        failed |= tests.returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
