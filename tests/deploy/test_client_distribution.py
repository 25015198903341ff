"""The client can be installed without the service: the same package, and nothing beyond its dependencies."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import client_pythons
import pytest
from fake_analyzer import FakeAnalyzer
from launched import ROOT
from packaging.requirements import Requirement
from served import served

import voxgraph
from config.settings import GraphSettings
from deployments.api.app import create_app

NOT_FOR_CLIENTS = {"voxgraph.handles", "voxgraph.gallery_handles", "voxgraph.calls"}
"""Modules of the package that need Ray; `voxgraph` imports them when their names are used."""
OLDEST_PYTHON = (3, 11)


def built(project: Path, folder: Path) -> zipfile.ZipFile:
    """Build the wheel of a project with the locked build tools."""
    constraints = ROOT / "requirements" / "build.txt"
    subprocess.run(
        [Path(sys.executable).with_name("uv"), "build", "--quiet", "--wheel", project, "--out-dir", folder,
         "--build-constraints", constraints],
        check=True, timeout=300,
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    return zipfile.ZipFile(wheel)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return built(ROOT / "client", tmp_path_factory.mktemp("client"))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return built(ROOT, tmp_path_factory.mktemp("service"))


def package(wheel: zipfile.ZipFile) -> dict[str, int]:
    """Return the checksum of each file of the package."""
    return {each.filename: each.CRC for each in wheel.infolist() if each.filename.startswith("voxgraph/")}


def test_both_distributions_have_the_same_package(client: zipfile.ZipFile, service: zipfile.ZipFile) -> None:
    assert "voxgraph/client/http.py" in package(client)
    assert package(client) == package(service)


def test_the_client_is_nothing_but_the_package(client: zipfile.ZipFile) -> None:
    folders = {name.split("/")[0] for name in client.namelist()}

    assert folders == {"voxgraph", f"voxgraph_client-{voxgraph.__version__}.dist-info"}


def test_both_have_the_version_and_the_command(client: zipfile.ZipFile, service: zipfile.ZipFile) -> None:
    for wheel, name in ((client, "voxgraph_client"), (service, "voxgraph")):
        info = f"{name}-{voxgraph.__version__}.dist-info"
        assert "voxgraph = voxgraph.cli.app:main" in wheel.read(f"{info}/entry_points.txt").decode()
        assert f"Version: {voxgraph.__version__}\n" in wheel.read(f"{info}/METADATA").decode()


def test_the_client_says_which_pythons_it_runs_under(client: zipfile.ZipFile) -> None:
    metadata = client.read(f"voxgraph_client-{voxgraph.__version__}.dist-info/METADATA").decode()

    classified = re.findall(r"^Classifier: Programming Language :: Python :: (\S+)$", metadata, re.MULTILINE)
    assert "Requires-Python: >=3.11\n" in metadata
    assert tuple(classified) == client_pythons.VERSIONS


def test_the_client_needs_what_the_service_needs_of_the_same() -> None:
    ours, all_of_them = (
        set(tomllib.loads((ROOT / path).read_text())["project"]["dependencies"])
        for path in ("client/pyproject.toml", "pyproject.toml")
    )

    assert ours < all_of_them


@pytest.fixture(scope="module")
def alone(client: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment of an interpreter that has the client and its dependencies alone."""
    folder = tmp_path_factory.mktemp("alone")
    client.extractall(folder)
    for name in dependencies("voxgraph-client", folder):
        distribution = importlib.metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(str(distribution.locate_file(top)))
    return os.environ | {"PYTHONPATH": str(folder)}


def dependencies(name: str, folder: Path) -> Iterator[str]:
    """Yield the distributions that one in a folder needs, directly or not."""
    (found,) = importlib.metadata.distributions(name=name, path=[str(folder)])
    waiting, seen = list(found.requires or ()), set[str]()
    while waiting:
        requirement = Requirement(waiting.pop())
        if requirement.name in seen or (
            requirement.marker and not requirement.marker.evaluate({"extra": ""})
        ):
            continue
        seen.add(requirement.name)
        yield requirement.name
        waiting += importlib.metadata.requires(requirement.name) or ()


def run(alone: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run Python without the packages of this environment."""
    return subprocess.run(
        [sys.executable, "-S", *arguments],
        env=alone, cwd="/", capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_every_module_is_imported_without_the_service(client: zipfile.ZipFile, alone: dict[str, str]) -> None:
    names = {name.removesuffix(".py").replace("/", ".") for name in package(client) if name.endswith(".py")}
    wanted = sorted(
        name.removesuffix(".__init__")
        for name in names
        if name not in {"voxgraph.__main__", *NOT_FOR_CLIENTS}
    )

    done = run(alone, "-c", f"import importlib\nfor name in {wanted}: importlib.import_module(name)")

    assert done.returncode == 0, done.stderr


def test_the_command_asks_a_server_from_the_wheel_alone(alone: dict[str, str]) -> None:
    recording = str(ROOT / "tests" / "data" / "voice.wav")
    with served(create_app(FakeAnalyzer(), GraphSettings())) as url:
        done = run(alone, "-m", "voxgraph", "analyze", recording, "--url", url)
        local = run(alone, "-m", "voxgraph", "analyze", recording, "--local")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["language"]["language"] == "ja"
    assert local.returncode == 5
    assert "only its client is installed" in local.stderr


def test_the_package_is_read_by_the_oldest_python(client: zipfile.ZipFile) -> None:
    import ast

    for name in package(client):
        if name.endswith(".py"):
            ast.parse(client.read(name), name, feature_version=OLDEST_PYTHON)
