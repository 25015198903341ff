"""The bill of materials names every package of the lock and every file of the starter checkpoints."""

import json
import re
from pathlib import Path

from launched import ROOT
from scripts import load_script

from pipelines.checkpoint_lock import locked

SBOM = load_script("deploy/sbom.py")


def test_it_has_every_package_of_the_lock_with_its_hashes() -> None:
    lock = (ROOT / "requirements" / "base.txt").read_text()
    pinned = dict(re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;\\]+)", lock, re.MULTILINE))
    packages = {each["name"]: each for each in SBOM.bill()["components"] if each["type"] == "library"}

    assert {name: package["version"] for name, package in packages.items()} == pinned
    assert all(package["hashes"] for package in packages.values())
    assert sum(len(package["hashes"]) for package in packages.values()) == lock.count("--hash=sha256:")
    assert packages["torch"]["purl"] == f"pkg:pypi/torch@{pinned['torch']}"


def test_it_has_every_file_of_the_starters_with_its_licence() -> None:
    models = [each for each in SBOM.bill()["components"] if each["type"] == "machine-learning-model"]

    assert {each["name"]: each["hashes"][0]["content"] for each in models} == locked()
    assert all(each["licenses"][0]["license"]["name"] for each in models)


def test_it_is_written_as_json(tmp_path: Path) -> None:
    SBOM.main(str(tmp_path / "sbom.json"))

    written = json.loads((tmp_path / "sbom.json").read_text())
    assert (written["bomFormat"], written["specVersion"]) == ("CycloneDX", "1.6")
    references = [each["bom-ref"] for each in written["components"]]
    assert len(set(references)) == len(references)
