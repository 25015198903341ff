"""The committed files are what the sources give, they are small, and they fit the server's answers."""

import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fake_analyzer import FakeAnalyzer
from launched import ROOT

from config.settings import GraphSettings
from deployments.api.app import create_app

BUILT = ROOT / "deployments" / "api" / "page" / "built"
MAX_PAGE_BYTES = 150_000
WEB = ROOT / "web"


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_sources_build_the_committed_files(tmp_path: Path) -> None:
    assert (WEB / "node_modules").exists(), "The packages are not installed: `make page` installs them."
    command = [sys.executable, str(WEB / "npm.py"), "run", "build", "--prefix", str(WEB)]

    environment = os.environ | {"PAGE_OUT": str(tmp_path)}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)

    found, expected = files(tmp_path), files(BUILT)
    assert list(found) == list(expected)
    assert [name for name in found if found[name] != expected[name]] == []


def test_the_page_is_small() -> None:
    page = BUILT / "index.html"
    loaded = [BUILT / name for name in re.findall(r'"\./(assets/[^"]+)"', page.read_text())]
    styles = next(path.read_text() for path in loaded if path.suffix == ".css")
    fonts = [BUILT / "assets" / Path(name).name for name in re.findall(r"[\w./-]+\.woff2", styles)]

    sizes = [len(gzip.compress(path.read_bytes())) for path in (page, *loaded, *fonts)]

    assert len(fonts) == 1
    assert 30_000 < sum(sizes) < MAX_PAGE_BYTES


def test_the_built_files_name_no_host() -> None:
    """Beside those that are names, not addresses: XML's, and the documentation's own links."""
    for path in BUILT.glob("assets/index-*"):
        hosts = set(re.findall(rb"https?://[\w.-]+", path.read_bytes()))
        assert hosts <= {b"http://www.w3.org"}, path.name


def test_the_lock_names_no_host_of_a_package_and_has_every_hash() -> None:
    lock = (WEB / "package-lock.json").read_text()

    assert '"resolved"' not in lock
    assert lock.count('"integrity"') == lock.count('"node_modules/')


TYPES = "".join((WEB / "src" / name).read_text() for name in ("api.ts", "people.ts"))


@pytest.mark.parametrize("name", re.findall(r"interface (\w+Answer) ", TYPES))
def test_the_page_reads_only_fields_that_the_server_answers(name: str) -> None:
    block = re.search(rf"interface {name} \{{\n(.*?)\n\}}", TYPES, re.DOTALL)
    assert block is not None
    schemas = create_app(FakeAnalyzer(), GraphSettings()).openapi()["components"]["schemas"]

    read = set(re.findall(r"^  (\w+):", block[1], re.MULTILINE))

    assert read - schemas[name]["properties"].keys() == set()
