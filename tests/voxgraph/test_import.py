"""``import voxgraph`` is fast and imports nothing heavy."""

import subprocess
import sys

import pytest
from cpu_time import cpu_seconds
from launched import ROOT

import voxgraph

HEAVY = {"ray", "torch", "fastapi", "starlette", "numpy", "pydantic", "pipelines", "deployments", "config"}
LIMIT_S = 0.1


def test_the_import_takes_less_than_a_tenth_of_a_second() -> None:
    assert cpu_seconds("-c", "import voxgraph") - cpu_seconds("-c", "pass") < LIMIT_S


def test_the_import_loads_nothing_heavy() -> None:
    code = f"import voxgraph, sys; assert not {HEAVY} & set(sys.modules), sorted(sys.modules)"

    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


@pytest.mark.parametrize("module", ["errors", "options", "results", "graph", "similarity", "analyzer"])
def test_the_vocabulary_needs_neither_ray_nor_torch_nor_the_rest_of_the_project(module: str) -> None:
    heavy = HEAVY - {"numpy"}
    code = f"import voxgraph.{module}, sys; assert not {heavy} & set(sys.modules), sorted(sys.modules)"

    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_every_public_name_can_be_imported() -> None:
    for name in voxgraph.__all__:
        assert getattr(voxgraph, name).__name__ == name


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = voxgraph.nothing
