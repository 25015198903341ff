"""The lines that keep voices: commented out in every file, and whole when somebody takes them."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from launched import ROOT
from manifests import MANIFEST, Claim, Compose, NetworkPolicy, RayService
from ray.serve.schema import ServeDeploySchema

from config.settings import GraphSettings
from deployments.graph import deployment_names
from gallery.keys import MASTER_KEY_VARIABLE
from gallery.store import ERASURES_VARIABLE

PRODUCTION, COMPOSE = ROOT / "deploy" / "kuberay.yaml", ROOT / "deploy" / "compose.yaml"
CHOICE = re.compile(r"^(\s*)#(?=[^\s#])", re.MULTILINE)


def taken(path: Path, without: str | None = None) -> str:
    """Return a file with the lines of the choice, but for those with some text."""
    lines = [line for line in path.read_text().splitlines() if without is None or without not in line]
    return CHOICE.sub(r"\1", "\n".join(lines))


def graph(text: str) -> tuple[ServeDeploySchema, GraphSettings]:
    schema = ServeDeploySchema.model_validate(yaml.safe_load(text))
    return schema, GraphSettings.model_validate(schema.applications[0].args)


@pytest.mark.parametrize("path", ["serve_config.yaml", "config/cpu.yaml", "config/starter.yaml"])
def test_no_voice_is_kept_until_somebody_chooses_so(path: str) -> None:
    assert graph((ROOT / path).read_text())[1].state is None


def test_production_keeps_voices_in_a_folder_of_the_node_that_has_it() -> None:
    schema, settings = graph(taken(ROOT / "serve_config.yaml", "#state: postgresql"))

    assert settings.state == "/var/lib/voxgraph"
    assert "Gallery" in deployment_names(settings)
    assert {each.name for each in schema.applications[0].deployments} <= deployment_names(settings)
    (gallery,) = (each for each in schema.applications[0].deployments if each.name == "Gallery")
    assert gallery.ray_actor_options.resources == {"voxgraph_state": 0.01}


def test_compose_mounts_a_volume_of_the_image_s_user_at_the_folder() -> None:
    content: dict[str, Any] = yaml.safe_load(taken(COMPOSE, '  volumes: ["checkpoints:/checkpoints:ro"]'))
    services = Compose.model_validate(content).services
    folder = graph(taken(ROOT / "serve_config.yaml", "#state: postgresql"))[1].state

    for name in ("starter", "cpu", "gpu"):
        assert services[name].volumes == ["checkpoints:/checkpoints:ro", f"voices:{folder}"]
    # What fetches checkpoints has nothing to do with voices.
    assert services["checkpoints"].volumes == ["checkpoints:/checkpoints"]
    assert "voices" in content["volumes"]
    # A new volume belongs to whom the folder of the image belongs to.
    assert f"chown voxgraph /checkpoints {folder}" in (ROOT / "deploy" / "Dockerfile").read_text()


def test_kuberay_keeps_voices_in_a_database_and_the_list_of_erasures_outside_of_it() -> None:
    found = [MANIFEST.validate_python(each) for each in yaml.safe_load_all(taken(PRODUCTION))]
    (service,) = (each.spec for each in found if isinstance(each, RayService))
    (group,) = service.ray_cluster_config.worker_group_specs
    pod = group.template.spec
    (worker,) = pod.containers
    environment = {each.name: each for each in worker.env}
    claims = {each.metadata.name for each in found if isinstance(each, Claim)}
    mounts = {each.name: each.mount_path for each in worker.volume_mounts}

    assert environment[MASTER_KEY_VARIABLE].value_from is not None
    assert environment["PGPASSWORD"].value_from is not None
    listed = Path(environment[ERASURES_VARIABLE].value or "")
    assert str(listed.parent) == mounts["erasures"]
    (volume,) = (each for each in pod.volumes if each.name == "erasures")
    assert volume.persistent_volume_claim is not None
    assert volume.persistent_volume_claim.claim_name in claims
    (policy,) = (each.spec for each in found if isinstance(each, NetworkPolicy))
    assert 5432 in {port.port for rule in policy.egress for port in rule.ports}
