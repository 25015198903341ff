"""For the whole run: one real cluster, for who asks for it."""

import os
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import yaml
from launched import INGRESSES, ROOT, Launched, running, sample_path

# The clusters that `make serve` starts ask for a token; a driver that connects must offer it.
os.environ.setdefault("RAY_AUTH_MODE", "token")

DEADLINE_S = 240.0
STARTS_A_GRAPH = {"graph", "test_facade.py"}
"""Folders and files whose tests start a graph of their own."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need the cluster, so that the others can run without it."""
    for item in items:
        if "service" in getattr(item, "fixturenames", ()) or STARTS_A_GRAPH & set(item.path.parts):
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the janitor of `service` looks after."""
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, uploads: Path) -> Iterator[Launched]:
    """What `make serve` starts, healthy; with three ingress replicas and a folder for the janitor."""
    config = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    deployments = {row["name"]: row for row in config["applications"][0]["deployments"]}
    deployments["Ingress"] |= {
        "num_replicas": INGRESSES,
        "ray_actor_options": {"num_cpus": 0.05},
        # What is tested is the answer to an hour of audio, not whether a busy machine has it in a minute.
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
    """30 s of two people on the telephone: the sample inside pyannote.audio."""
    return sample_path().read_bytes()
