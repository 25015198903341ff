"""The command against the application with a fake analyzer, over a real socket."""

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from fake_analyzer import FakeAnalyzer
from recordings import DATA
from served import served

from config.settings import GraphSettings
from deployments.api.app import create_app
from voxgraph.cli.app import main

VOICE, OTHER = str(DATA / "voice.wav"), str(DATA / "other.wav")


class Done(NamedTuple):
    """How the command ended and what it wrote."""

    status: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture(scope="session")
def fake() -> FakeAnalyzer:
    return FakeAnalyzer()


@pytest.fixture(scope="session")
def url(fake: FakeAnalyzer) -> Iterator[str]:
    with served(create_app(fake, GraphSettings())) as url:
        yield url


@pytest.fixture
def command(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    """Return a function that runs the command in this process, in an empty folder."""
    monkeypatch.setenv("VOXGRAPH_URL", url)
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.setenv("TERMINAL_WIDTH", "110")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, stdin: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        status = main([str(argument) for argument in arguments])
        return Done(status, *capsys.readouterr())

    return run
