"""Commands about a server and this machine, and those that run parts of the service."""

import json
import os
import socket
import sys
from pathlib import Path

import httpx2
import pytest
from fake_analyzer import FakeAnalyzer
from launched import ROOT
from recordings import DATA
from served import served

import voxgraph
from voxgraph.cli import doctor, installed
from voxgraph.cli.doctor import Verdict
from voxgraph.results import GraphHealth, ModelInfo

MODEL = ModelInfo("language", "a/b", "abc", "hub", "cpu", 7)


def test_the_status_is_a_table_of_the_models(command, fake: FakeAnalyzer) -> None:
    fake.graph_health = GraphHealth({"language": MODEL}, {}, 1234.0)
    done = command("status")

    assert done.status == 0
    assert f"voxgraph {voxgraph.__version__}: ok; checkpoints: hub; memory: 1.2 GB" in done.out
    assert "language    a/b           hub       cpu, torch, float32" in done.out
    assert json.loads(command("status", "--json").out)["models"]["language"]["hub_id"] == "a/b"


def test_a_model_that_does_not_answer_is_an_exit_status(command, fake: FakeAnalyzer) -> None:
    for models in ({"language": MODEL}, {}):
        fake.graph_health = GraphHealth(models, {"deepfake": "There is no checkpoint."}, 1.0)
        done = command("status")

        assert done.status == 1
        assert "There is no checkpoint." in done.out


def test_the_openapi_document_is_that_of_the_server(command, url: str) -> None:
    assert json.loads(command("openapi").out) == httpx2.get(f"{url}/openapi.json").json()


def test_the_doctor_says_what_it_looked_at(command, fake: FakeAnalyzer, url: str) -> None:
    fake.graph_health = GraphHealth({"language": MODEL}, {}, 1.0)
    done = command("doctor")

    for subject in ("versions", "API key", "server", "Python", "packages", "cores", "memory", "disk", "port"):
        assert subject in done.out
    assert f"{url} answers: voxgraph {voxgraph.__version__}, ok." in done.out
    assert "checkpoints    All" in done.out


def test_the_doctor_finds_what_has_to_be_done(
    command, fake: FakeAnalyzer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake.graph_health = GraphHealth({"language": MODEL}, {"deepfake": "Gone."}, 1.0)
    key = tmp_path / "key"
    key.write_text("secret")
    key.chmod(0o644)
    monkeypatch.setenv("VOXGRAPH_API_KEY_FILE", str(key))

    done = command("doctor")

    assert done.status == 1
    assert "chmod 600" in done.out
    assert "secret" not in done.out


def test_a_server_that_does_not_answer_is_no_fault_of_the_machine(command) -> None:
    assert doctor.check_server(doctor.Where(url="http://127.0.0.1:9", timeout=0.2)).verdict is Verdict.NOTE


def test_a_port_in_use_is_noted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert doctor.check_port(port, "HTTP").verdict is Verdict.NOTE
    assert doctor.check_port(port, "HTTP").verdict is Verdict.GOOD


def test_too_little_of_something_is_bad() -> None:
    assert doctor.enough("memory", 4.0, 8.0, "GB").verdict is Verdict.BAD
    assert doctor.enough("memory", 8.0, 8.0, "GB").verdict is Verdict.GOOD


@pytest.mark.parametrize(
    "arguments",
    [
        ("language", DATA / "voice.wav", "--local"),
        ("checkpoints", "list"),
        ("serve",),
        ("eval", "folder"),
        ("bench",),
        ("openapi", "--local"),
    ],
)
def test_the_client_alone_says_what_is_not_installed(
    command, monkeypatch: pytest.MonkeyPatch, arguments: tuple[object, ...]
) -> None:
    service = ("config", "deployments", "evaluation", "benchmarks")
    for name in [module for module in sys.modules if module.partition(".")[0] in service]:
        monkeypatch.delitem(sys.modules, name)
    for name in service:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(installed.importlib.util, "find_spec", lambda _name: None)

    done = command(*arguments)

    assert done.status == 5
    assert "installed" in done.err or "checkout" in done.err


def test_serve_passes_its_arguments_on(command, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    def main(arguments: list[str]) -> int:
        given.append(arguments)
        return 1

    monkeypatch.setattr("deployments.__main__.main", main)

    assert command("serve", "--port", 8123).status == 1
    assert command("serve", "other.yaml", "--state", "voices").status == 1
    assert given[0] == [str(ROOT / "config" / "starter.yaml"), "--timeout", "600.0", "--port", "8123"]
    assert (given[1][0], given[1][-2:]) == ("other.yaml", ["--state", "voices"])


def test_a_benchmark_that_is_terminated_says_so(command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.__main__.main", lambda _arguments: sys.exit("terminated"))

    assert command("bench") == (1, "", "terminated\n")


@pytest.mark.parametrize(("name", "module"), [("eval", "evaluation"), ("bench", "benchmarks")])
def test_eval_and_bench_are_the_modules(command, name: str, module: str) -> None:
    done = command(name, "--help")

    assert done.status == 0
    assert f"usage: python -m {module}" in done.out


@pytest.fixture
def authorization() -> list[str | None]:
    return []


@pytest.fixture
def guarded(authorization: list[str | None]) -> str:
    """An application that answers 401 and keeps what it was sent."""

    async def refuse(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        authorization.append(dict(scope["headers"]).get(b"authorization", b"").decode() or None)
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with served(refuse) as url:
        yield url


def test_the_key_comes_from_the_environment_or_a_file_of_its_owner(
    command, guarded: str, authorization: list[str | None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text("from-file\n")
    key.chmod(0o600)
    assert command("status", "--url", guarded).status == 4
    monkeypatch.setenv("VOXGRAPH_API_KEY_FILE", str(key))
    assert command("status", "--url", guarded).status == 4
    monkeypatch.setenv("VOXGRAPH_API_KEY", "from-environment")
    assert command("status", "--url", guarded).status == 4
    assert authorization == [None, "Bearer from-file", "Bearer from-environment"]


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_key_that_others_may_read_is_not_used(
    command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: int
) -> None:
    key = tmp_path / "key"
    key.write_text("secret")
    os.chmod(key, mode)
    monkeypatch.setenv("VOXGRAPH_API_KEY_FILE", str(key))

    done = command("status")

    assert done.status == 2
    assert "chmod 600" in done.err
    assert "secret" not in done.err


def test_no_argument_takes_a_key(command) -> None:
    for path in (Path(__file__).parent / "help").glob("*.txt"):
        assert "--api-key" not in path.read_text()
