"""``import voxgraph`` is fast and imports nothing heavy."""

import subprocess
import sys
import time

import pytest
from launched import ROOT

import voxgraph

HEAVY = {"ray", "torch", "fastapi", "starlette", "numpy", "pydantic", "pipelines", "deployments", "config"}
LIMIT_S = 0.1
TRIES = 10


def seconds_to_run(code: str) -> float:
    """Return the shortest of `TRIES` runs in a new interpreter: a busy machine only makes them longer."""
    times = []
    for _ in range(TRIES):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
        times.append(time.perf_counter() - started)
    return min(times)


def test_the_import_takes_less_than_a_tenth_of_a_second() -> None:
    assert seconds_to_run("import voxgraph") - seconds_to_run("pass") < LIMIT_S


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
