"""Write a bill of materials in CycloneDX 1.6: ``python deploy/sbom.py [FILE]``, or to the output.

It has the packages of ``requirements/base.txt`` with the hashes that an installation accepts, and files of
the starter checkpoints. (uv exports CycloneDX only from a ``uv.lock``, which this project does not have.)
"""

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import voxgraph
from config.starter_checkpoints import STARTER_CHECKPOINTS
from pipelines.checkpoint_lock import locked

ROOT = Path(__file__).parents[1]
_PACKAGE = re.compile(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;\\]+)(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)


def bill() -> dict[str, Any]:
    """Return the bill of materials; the same files give the same bill."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = (ROOT / "requirements" / "base.txt").read_text()
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": _application(project)},
        "components": [_package(*found) for found in _PACKAGE.findall(lock)] + _models(),
    }


def _application(project: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "application",
        "bom-ref": "voxgraph",
        "name": project["name"],
        "version": voxgraph.__version__,
        "licenses": [{"expression": project["license"]}],
    }


def _package(name: str, version: str, rest: str) -> dict[str, Any]:
    """Return one package. Each hash is of one of the files that may be installed for it."""
    purl = f"pkg:pypi/{name}@{version}"
    hashes = sorted(set(re.findall(r"sha256:([0-9a-f]{64})", rest)))
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": each} for each in hashes],
    }


def _models() -> list[dict[str, Any]]:
    licences = {row.starter_folder or str(row.key): row.licence for row in STARTER_CHECKPOINTS.values()}
    return [
        {
            "type": "machine-learning-model",
            "bom-ref": f"starter/{name}",
            "name": name,
            "hashes": [{"alg": "SHA-256", "content": digest}],
            "licenses": [{"license": {"name": licences[name.split("/")[0]]}}],
        }
        for name, digest in locked().items()
    ]


def main(file: str | None = None) -> None:
    """Write the bill."""
    text = json.dumps(bill(), indent=2) + "\n"
    if file is None:
        print(text, end="")
    else:
        Path(file).write_text(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
