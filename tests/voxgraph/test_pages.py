"""Every block of the pages about the client and the command runs as it stands."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from fake_analyzer import FakeAnalyzer
from launched import ROOT
from recordings import DATA
from served import served

from config.settings import GraphSettings
from deployments.api.app import create_app
from deployments.local import LocalAnalyzer
from deployments.state.local_gallery import LocalGallery
from gallery.galleries import Galleries
from voxgraph.cli.app import main
from voxgraph.cli.exits import Exit

RECORDINGS = ("meeting.m4a", "a.wav", "b.mp3", "x.wav", "calls/monday.wav", "calls/more/tuesday.wav")
DEFAULT_URL = "http://127.0.0.1:8000"


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


BLOCKS = blocks("command.md", "bash")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory):
    fake = FakeAnalyzer()
    fake.speech_s = 25.0
    with Galleries(tmp_path_factory.mktemp("state")) as galleries:
        fake.gallery = LocalGallery(galleries)
        with served(create_app(fake, GraphSettings())) as url:
            yield url


@pytest.fixture
def folder(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the recordings that the pages name."""
    for name in RECORDINGS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(DATA / "voice.wav", tmp_path / name)
    (tmp_path / "people.csv").write_text("speaker,file\na-17,b.mp3\n")
    shutil.copy(ROOT / "serve_config.yaml", tmp_path)
    (tmp_path / "voxgraph").write_text(f'#!/bin/sh\nexec {sys.executable} -m voxgraph "$@"\n')
    (tmp_path / "voxgraph").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("VOXGRAPH_URL", url)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.usefixtures("folder")
def test_every_command_runs_as_it_is_written(url: str, block: str, capfd: pytest.CaptureFixture[str]) -> None:
    """The lines of a block may build on each other."""
    for line in block.splitlines():
        words = shlex.split(line.replace(DEFAULT_URL, url))
        if words[0] == "voxgraph" and "<" not in words:
            status = main(words[1:])
        else:  # A line that the shell has to understand.
            status = subprocess.run(
                ["sh", "-c", line.replace(DEFAULT_URL, url)], timeout=60, check=False
            ).returncode

        # What the doctor finds depends on the machine.
        expected = {Exit.OK, Exit.SOME_FAILED} if line == "voxgraph doctor" else {Exit.OK}
        assert status in expected, line
        assert capfd.readouterr().out or "--output-dir" in line, line


@pytest.mark.parametrize("block", [*blocks("client.md", "python"), *blocks("gallery.md", "python")])
@pytest.mark.usefixtures("folder")
def test_every_block_of_python_runs_as_it_is_written(url: str, block: str) -> None:
    exec(compile(block.replace(DEFAULT_URL, url), "a page", "exec"), {})


@pytest.fixture(scope="module")
def starter_url() -> Iterator[str]:
    """Return the address of the application with the real checkpoints of `make serve`."""
    graph = yaml.safe_load((ROOT / "config" / "starter.yaml").read_text())
    settings = GraphSettings.model_validate({**graph["applications"][0]["args"], "state": None})
    analyzer = LocalAnalyzer(settings)
    with served(create_app(analyzer, settings)) as url:
        yield url
    analyzer.close()


@pytest.mark.parametrize("block", blocks("client.md", "python"))
@pytest.mark.usefixtures("folder")
def test_real_models_answer_every_block_about_the_client(
    starter_url: str, block: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOXGRAPH_URL", starter_url)

    exec(compile(block.replace(DEFAULT_URL, starter_url), "a page", "exec"), {})


def test_the_first_gallery_of_the_page_is_made_as_it_is_written(url: str) -> None:
    first = blocks("gallery.md", "bash")[0].replace(DEFAULT_URL, url).replace("curl ", "curl -sS --fail ")

    ran = subprocess.run(["sh", "-ec", first], cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert '"decision":"match"' in ran.stdout


def test_the_page_names_every_command_and_every_exit_status() -> None:
    page = (ROOT / "docs" / "command.md").read_text()
    names = {path.stem for path in (ROOT / "tests" / "voxgraph" / "cli" / "help").glob("*.txt")}

    assert [name for name in names - {"voxgraph"} if name.replace("-", " ", 1) not in page] == []
    assert {int(status) for status in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)} == set(Exit)


def test_every_method_of_the_client_is_on_its_page() -> None:
    from voxgraph import Client

    page = (ROOT / "docs" / "client.md").read_text()
    methods = {name for name in vars(Client) if not name.startswith("_")} - {"ask", "stream", "close"}

    assert [name for name in sorted(methods) if f"`{name}`" not in page] == []


def test_the_lines_of_the_page_are_of_this_command() -> None:
    lines = [line for block in BLOCKS for line in block.splitlines()]

    assert lines
    assert all("voxgraph" in shlex.split(line, comments=False) for line in lines)
