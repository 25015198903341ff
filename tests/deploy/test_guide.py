"""The page that leads from a clone to a cluster names what there is."""

import re
from math import ceil

import pytest
from launched import ROOT
from manifests import Service, manifests

from deployments.launch.configuration import read_config, required_resources

DEPLOY = ROOT / "deploy"
PAGE = (DEPLOY / "README.md").read_text()


def test_every_link_leads_to_a_file() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", PAGE)

    assert [target for target in targets if not (DEPLOY / target).exists()] == []


def test_every_file_has_a_row() -> None:
    files = {path.name for path in DEPLOY.iterdir() if path.is_file()} - {
        "README.md",
        "Dockerfile.dockerignore",
    }

    assert [name for name in sorted(files) if f"[{name}]({name})" not in PAGE] == []


def test_every_file_that_a_command_names_exists() -> None:
    commands = "\n".join(re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL))
    named = re.findall(r"(?:deploy|tests|examples)/[\w./-]+", commands)

    assert len(named) > 8
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_secret_of_the_manifests_is_made_on_the_page() -> None:
    text = "".join(path.read_text() for path in DEPLOY.glob("*.yaml"))
    needed = set(re.findall(r"secretKeyRef: \{name: ([\w-]+)", text))
    made = set(re.findall(r"create secret generic ([\w-]+)", PAGE))

    assert needed == made


def test_the_services_of_the_page_are_those_of_the_manifests() -> None:
    everything = [m for path in DEPLOY.glob("*.yaml") if path.name != "compose.yaml" for m in manifests(path)]
    names = {m.metadata.name for m in everything if not isinstance(m, Service)}
    named = set(re.findall(r"service/([\w-]+?)-(?:serve|head)-svc", PAGE)) | set(
        re.findall(r"rayservice/([\w-]+)", PAGE)
    )

    assert named == {"voxgraph", "voxgraph-starter"}
    assert named <= names


@pytest.mark.parametrize(
    ("profile", "config"),
    [("starter", "config/starter.yaml"), ("cpu", "config/cpu.yaml"), ("gpu", "serve_config.yaml")],
)
def test_the_cores_of_a_profile_are_those_of_its_graph(profile: str, config: str) -> None:
    cores = required_resources(read_config(ROOT / config))["CPU"]

    row = re.search(rf"^\| `{profile}` \| [^|]+ \| (\d+) \|", PAGE, re.MULTILINE)
    assert row is not None
    assert int(row.group(1)) == ceil(round(cores, 6))
