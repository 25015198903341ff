"""The Compose file: only known fields, and three services for a single machine."""

import inspect
import subprocess
from importlib.metadata import version

import pytest
import yaml
from launched import ROOT
from manifests import Compose, ComposeService, seconds
from ray._private import ray_constants
from ray.serve._private.client import ServeControllerClient

from deployments.launch.launcher import EXIT_TIMEOUT_S

FILE = ROOT / "deploy" / "compose.yaml"
SERVICES = Compose.model_validate(yaml.safe_load(FILE.read_text())).services
each = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


def test_there_is_a_service_per_kind_of_machine_and_each_needs_its_profile() -> None:
    assert {name: service.profiles for name, service in SERVICES.items()} == {
        "starter": ["starter"],
        "checkpoints": ["cpu", "gpu"],
        "cpu": ["cpu"],
        "gpu": ["gpu"],
    }


@each
def test_the_image_has_this_version_and_matches_the_device(service: ComposeService) -> None:
    tag = {"cpu": "-cpu", "cuda": ""}[service.build.args["DEVICE"]]

    assert service.image == f"voxgraph:{version('voxgraph')}{tag}"
    assert (FILE.parent / service.build.context / service.build.dockerfile).is_file()
    assert (service.deploy is not None) == (service.build.args["DEVICE"] == "cuda")


@each
def test_a_stopping_container_has_time_to_end_its_processes(service: ComposeService) -> None:
    serve_s = inspect.signature(ServeControllerClient.shutdown).parameters["timeout_s"].default

    assert seconds(service.stop_grace_period) > serve_s + 2 * EXIT_TIMEOUT_S


@each
def test_the_object_store_fits_into_shared_memory(service: ComposeService) -> None:
    """Ray caps the store at the larger of this threshold and 0.95 of shared memory; the rest goes to /tmp."""
    shared = int(service.shm_size.removesuffix("gb")) << 30

    assert 0.95 * shared >= ray_constants.REQUIRE_SHM_SIZE_THRESHOLD


def test_only_the_http_port_is_published_and_on_the_loopback_unless_another_address_is_chosen() -> None:
    ports = {name: service.ports for name, service in SERVICES.items()}

    assert ports.pop("checkpoints") == []
    assert set(map(tuple, ports.values())) == {("${VOXGRAPH_PUBLISH:-127.0.0.1}:8000:8000",)}


def test_only_the_container_that_fetches_checkpoints_has_the_token_and_may_write_them() -> None:
    fetch = SERVICES["checkpoints"]
    others = [service for name, service in SERVICES.items() if name != "checkpoints"]

    assert "HF_TOKEN" in fetch.environment
    assert fetch.volumes == ["checkpoints:/checkpoints"]
    for service in others:
        assert service.environment == {"HF_HUB_OFFLINE": "1"}
        assert service.volumes == ["checkpoints:/checkpoints:ro"]
    assert [set(SERVICES[name].depends_on) for name in ("cpu", "gpu")] == [{"checkpoints"}] * 2


@each
def test_a_container_has_few_rights_and_dumps_no_core(service: ComposeService) -> None:
    assert service.read_only
    assert service.cap_drop == ["ALL"]
    assert service.security_opt == ["no-new-privileges:true"]
    assert service.ulimits["core"] == 0


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_a_service_listens_beyond_its_container(name: str) -> None:
    (config,) = (part for part in SERVICES[name].command if part.endswith(".yaml"))

    assert yaml.safe_load((ROOT / config).read_text())["http_options"]["host"] == "0.0.0.0"


def test_the_starter_listens_beyond_its_container() -> None:
    *shell, line = SERVICES["starter"].command
    printed = subprocess.run(
        [*shell, line.replace("python -m deployments", "cat")],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip

    config = yaml.safe_load(printed.stdout)
    local = yaml.safe_load((ROOT / "config" / "starter.yaml").read_text())
    assert config == local | {"http_options": local["http_options"] | {"host": "0.0.0.0"}}
