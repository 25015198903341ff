"""One cluster for all tests in here."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from launched import Launched, running
from simulated_cluster import graph


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    """The simulated graph, running; this process is a driver of its cluster."""
    # A GPU that does not exist: Ray assigns shares of it, and nothing here asks torch for it.
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("RAY_OVERRIDE_RESOURCES", '{"GPU": 1}')
    path: Path = tmp_path_factory.mktemp("config") / "simulated.yaml"
    path.write_text(yaml.safe_dump(graph()))
    with running(path) as launched, launched.driver():
        yield launched
    monkeypatch.undo()
