"""The image: its files pass the linters, it contains all that is served, and it runs unprivileged."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from launched import ROOT

from deployments.launch.environment import NODE_ENVIRONMENT

DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
SHELL = [DEPLOY / "install.sh", ROOT / ".ci" / "run"]


def lint(tool: str, *paths: Path) -> str:
    """Return the output of a linter of this environment."""
    ran = subprocess.run(
        [Path(sys.executable).with_name(tool), *paths],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
    )  # fmt: skip
    return ran.stdout


def test_the_dockerfile_passes_its_linter() -> None:
    assert lint("hadolint", DEPLOY / "Dockerfile") == ""


@pytest.mark.parametrize("path", SHELL, ids=lambda path: path.name)
def test_a_shell_script_passes_its_linter(path: Path) -> None:
    assert lint("shellcheck", path) == ""


def test_the_linters_report_mistakes(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM debian\nRUN cd /tmp && sudo ls\n")
    (tmp_path / "script.sh").write_text("#!/bin/sh\nls $1\n")

    assert "DL3004" in lint("hadolint", tmp_path / "Dockerfile")
    assert "SC2086" in lint("shellcheck", tmp_path / "script.sh")


def test_it_runs_without_privileges() -> None:
    user = re.findall(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)

    assert user
    assert int(user[-1]) > 0


def test_its_ray_variables_are_those_of_every_node() -> None:
    set_here = dict(re.findall(r"(RAY_\w+)=(\S+)", DOCKERFILE))

    assert set_here == NODE_ENVIRONMENT


def test_nothing_that_the_service_needs_is_left_out_of_the_build() -> None:
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"], *project["project"]["license-files"]}

    assert {Path(path).parts[0] for path in needed} <= kept
    assert {project["project"]["readme"], "pyproject.toml", "requirements", "deploy"} <= kept
    assert [name for name in kept if not (ROOT / name).exists()] == []


def test_the_image_without_cuda_installs_everything_else_by_hash(tmp_path: Path) -> None:
    """Run the line of install.sh that removes CUDA packages on the current lock."""
    (line,) = re.findall(r"^ *(awk .*) >/tmp/cpu.txt$", (DEPLOY / "install.sh").read_text(), re.MULTILINE)
    script = f"torch='torch|torchaudio|torchcodec' lock=requirements/base.txt; {line}"
    left = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    lock = (ROOT / "requirements" / "base.txt").read_text()
    pinned, all_pinned = (set(re.findall(r"^([\w.-]+)==", text, re.MULTILINE)) for text in (left, lock))
    gone = all_pinned - pinned
    assert {"torch", "torchaudio", "triton"} <= gone
    assert all(re.match(r"torch(audio|codec)?$|triton$|nvidia-|cuda-", name) for name in gone)
    assert left.count("==") <= left.count("--hash=sha256:")
