"""One cluster for all tests of a module."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from launched import Launched, running
from simulated_cluster import graph

# Further nodes join these clusters, which must therefore not be on the loopback.
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "1"


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    """Run the simulated graph, with this process as a driver of its cluster."""
    # A fake GPU: Ray assigns shares of it, and these tests never use it through torch.
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("RAY_OVERRIDE_RESOURCES", '{"GPU": 1}')
    path: Path = tmp_path_factory.mktemp("config") / "simulated.yaml"
    path.write_text(yaml.safe_dump(graph()))
    with running(path) as launched, launched.driver():
        yield launched
    monkeypatch.undo()
