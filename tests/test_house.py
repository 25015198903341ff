"""What the project says of itself is true."""

import re
import tomllib
from typing import cast

import pytest
from launched import ROOT

from config.settings import GraphSettings
from deployments.api.analyzer import Analyzer
from deployments.api.app import create_app

README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_link_of_a_page_leads_to_a_file(page: str) -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text())

    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert targets >= set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE))


def test_every_path_that_the_readme_names_is_one_of_the_application() -> None:
    application = create_app(cast("Analyzer", None), GraphSettings())
    named = set(re.findall(r"`(?:GET|POST) (/[\w/-]+)", README))

    assert len(named) > 8
    assert named <= set(application.openapi()["paths"])


def test_every_package_has_a_row_in_the_readme() -> None:
    folders = {path.parent.name for path in ROOT.glob("[a-z]*/*.py")}

    assert [folder for folder in sorted(folders) if f"[{folder}/]" not in README] == []


def test_the_changelog_begins_with_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    first = re.search(r"^## \[?([\d.]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert first is not None
    assert first.group(1) == version


def test_the_locks_name_no_host_and_pin_everything_by_hash() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text()
        assert "://" not in text, path
        assert "--index-url" not in text
        assert text.count("==") <= text.count("--hash=sha256:")
