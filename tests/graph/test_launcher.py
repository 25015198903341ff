"""`make serve`: its output, the curl command that it prints, its failures and its shutdown."""

import json
import shlex
import signal
import socket
import subprocess
from pathlib import Path

import httpx2
import psutil
import pytest
import yaml
from launched import ROOT, Launched, launch
from ray.exceptions import ActorDiedError, GetTimeoutError
from ray.serve.schema import ServeDeploySchema

from config.settings import ENGINE_CACHE, GraphSettings
from deployments.graph import NAMES
from deployments.launch import launcher
from deployments.launch.configuration import LaunchFailed, read_config, required_resources
from deployments.loading import deployed_models
from voxgraph.options import ModelKey

TINY = {
    "http_options": {"host": "127.0.0.1"},
    "applications": [
        {
            "name": "tiny", "route_prefix": "/", "import_path": "tiny_graph:build", "args": {},
            "runtime_env": {"env_vars": {"PYTHONPATH": str(ROOT / "tests" / "support")}},
        }
    ],
}  # fmt: skip


def tiny(folder: Path, args: dict[str, str], **deployment: object) -> Path:
    application = TINY["applications"][0] | {"args": args}
    if deployment:
        application["deployments"] = [deployment]
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY | {"applications": [application]}))
    return path


def test_it_prints_each_deployment_and_the_time_until_healthy(service: Launched) -> None:
    (application,) = yaml.safe_load((ROOT / "config/starter.yaml").read_text())["applications"]
    for key in deployed_models(GraphSettings.model_validate(application["args"])).values():
        assert NAMES[key] in service.output
    assert "voxgraph is healthy after" in service.output


def test_its_replicas_do_not_import_scipy_stats(service: Launched) -> None:
    (replica,) = service.replicas("Language")

    libraries = {library.path for library in replica.memory_maps()}
    assert any("/torch/" in path for path in libraries)
    assert not any("/scipy/stats/" in path for path in libraries)


def test_its_replicas_share_converted_networks(service: Launched) -> None:
    (replica,) = service.replicas("Diarization")
    folder = Path(replica.environ()[ENGINE_CACHE])

    # Language, voices (also those of the diarization), accent and deepfake.
    assert len(list(folder.glob("*/model.xml"))) == 4
    assert any(file.path.startswith(f"{folder}/") for file in replica.memory_maps())


def test_its_curl_command_works_as_printed(service: Launched) -> None:
    (line,) = [line.strip() for line in service.lines if line.strip().startswith("curl ")]

    ran = subprocess.run(shlex.split(line), cwd=ROOT, capture_output=True, text=True, timeout=240, check=True)

    answer = json.loads(ran.stdout)
    assert set(answer) >= {"language", "speaker", "accent", "diarization", "deepfake"}
    assert answer["audio_duration"] == pytest.approx(30, abs=0.1)


@pytest.mark.parametrize(
    ("module", "number"), [(("deployments",), signal.SIGINT), (("voxgraph", "serve"), signal.SIGTERM)]
)
def test_it_answers_and_leaves_no_process_behind(
    tmp_path: Path, module: tuple[str, ...], number: signal.Signals
) -> None:
    launched = launch(tiny(tmp_path, {}), module=module)
    launched.wait_for("Ctrl-C stops.")
    assert httpx2.get(f"{launched.url}/who/is/there", timeout=30.0).text == "/who/is/there"
    processes = launched.processes()
    assert len(processes) > 5

    assert launched.stop(number) == 0, launched.output
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert not alive


def test_a_deployment_that_fails_is_named_with_its_reason(tmp_path: Path) -> None:
    launched = launch(tiny(tmp_path, {"broken": "yes"}))

    assert launched.process.wait(timeout=200) == 1
    assert "no such model" in launched.output


def test_a_graph_too_big_for_this_machine_is_refused(tmp_path: Path) -> None:
    launched = launch(tiny(tmp_path, {}, name="Echo", ray_actor_options={"num_gpus": 100}))

    assert launched.process.wait(timeout=100) == 1
    assert "needs 100 GPU" in launched.output


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        launched = launch(tiny(tmp_path, {}), "--port", str(taken.getsockname()[1]))

        assert launched.process.wait(timeout=60) == 1
    assert "cannot listen on" in launched.output


@pytest.mark.parametrize("error", [ActorDiedError(), GetTimeoutError("300 s")])
def test_a_proxy_that_does_not_start_is_a_failed_launch(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def serve_start(**_: object) -> None:
        raise error

    monkeypatch.setattr(launcher.serve_api, "serve_start", serve_start)

    with pytest.raises(LaunchFailed, match="proxy did not start"):
        launcher.deploy(ServeDeploySchema.model_validate(TINY))


def test_an_invalid_configuration_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("applications: 5\n")

    launched = launch(path)

    assert launched.process.wait(timeout=60) == 1
    assert "not a Serve configuration file" in launched.output


def test_the_needs_of_a_graph_are_the_sum_over_its_deployments(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    row = {"name": "Language", "ray_actor_options": {"num_gpus": 0.5}}
    path.write_text(
        yaml.safe_dump({"applications": [{"import_path": "deployments.graph:build", "deployments": [row]}]})
    )

    # Six models that the file omits, the ingress, the state's 0.1, and Ray's default core for Language.
    assert required_resources(read_config(path)) == pytest.approx({"CPU": 6 + 1 + 0.1 + 1, "GPU": 0.5})


def test_every_model_key_has_a_deployment_name() -> None:
    assert set(NAMES) == set(ModelKey)
