"""Session fixtures: one real cluster, shared by all tests that use it."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import hypothesis
import pytest
import yaml
from launched import INGRESSES, Launched, running, sample_path
from small_checkpoints import small_graph

# Clusters of `make serve` require a token, so a driver that connects must send one.
os.environ.setdefault("RAY_AUTH_MODE", "token")
# They are on the loopback; Ray reads this when it is imported.
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")

# How long an example takes says how busy the machine is, and nothing about what it tests.
hypothesis.settings.register_profile(
    "without clocks", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("without clocks")

DEADLINE_S = 240.0
STARTS_A_GRAPH = {"graph", "test_partial_graph.py"}
"""Folders and files whose tests start their own graph."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a cluster, so that the others can be run without one."""
    give_lazy_modules_a_file()
    for item in items:
        if "service" in getattr(item, "fixturenames", ()) or STARTS_A_GRAPH & set(item.path.parts):
            item.add_marker(pytest.mark.cluster)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Prepare a property test for the modules that the tests before it have imported."""
    if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
        give_lazy_modules_a_file()


def give_lazy_modules_a_file() -> None:
    """Let hypothesis read `__file__` of all modules: SpeechBrain's lazy ones would import what is missing."""
    for name, module in list(sys.modules.items()):
        if name.startswith("speechbrain.") and "__file__" not in vars(module):
            vars(module)["__file__"] = None


@pytest.fixture(scope="session")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the janitor of `service` cleans."""
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, uploads: Path) -> Iterator[Launched]:
    """Start the graph of the small checkpoints with three ingress replicas and a folder for the janitor."""
    config = small_graph()
    deployments = {row["name"]: row for row in config["applications"][0]["deployments"]}
    deployments["Ingress"] |= {
        "num_replicas": INGRESSES,
        "ray_actor_options": {"num_cpus": 0.05},
        # Long enough for an hour of audio on a busy machine.
        "user_config": {"deadline_s": DEADLINE_S},
    }
    deployments["GraphState"]["user_config"] = {"uploads_folder": str(uploads), "max_file_age_hours": 1.0}
    path = tmp_path_factory.mktemp("config") / "three_ingresses.yaml"
    path.write_text(yaml.safe_dump(config))
    with running(path) as launched:
        yield launched


@pytest.fixture(scope="session")
def http(service: Launched) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=service.url, timeout=120) as client:
        yield client


@pytest.fixture(scope="session")
def conversation() -> bytes:
    """Return pyannote.audio's sample: 30 s of two speakers on the telephone."""
    return sample_path().read_bytes()
