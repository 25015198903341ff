"""The servers of the benchmarks: configuration, processes, workloads."""

import signal
from pathlib import Path

import yaml
from ray.serve.schema import ServeDeploySchema

from benchmarks.processes import kind_of
from benchmarks.servers import Server, running, write_graph_config
from benchmarks.workloads import ALL, all_workloads, quick
from config.settings import GraphSettings, Size
from deployments.graph import NAMES
from deployments.loading import deployed_models
from voxgraph.options import ModelKey


def test_the_configuration_scales_the_measured_models_and_serves_the_starter_of_the_others(
    tmp_path: Path,
) -> None:
    sizes = dict.fromkeys(ModelKey, Size.FULL)
    path = write_graph_config(tmp_path / "graph.yaml", tmp_path, [ModelKey.LANGUAGE], sizes, 2)

    schema = ServeDeploySchema.model_validate(yaml.safe_load(path.read_text()))
    settings = GraphSettings.model_validate(schema.applications[0].args)
    replicas = {one.name: one.num_replicas for one in schema.applications[0].deployments}
    assert settings.checkpoint(ModelKey.LANGUAGE).source == str(tmp_path / "language")
    assert settings.checkpoint(ModelKey.LANGUAGE).architecture is Size.FULL
    assert settings.checkpoint(ModelKey.SPEAKER_VOXCELEB).architecture is Size.STARTER
    assert (replicas["Language"], replicas["Deepfake"]) == (2, 1)
    assert set(replicas) == {NAMES[key] for key in deployed_models(settings).values()} | {
        "Ingress", "GraphState",
    }  # fmt: skip


def test_processes_are_named_by_their_kind() -> None:
    assert kind_of(["ray::ServeReplica:voxgraph:Language"]) == "Language"
    assert kind_of(["ray::ProxyActor"]) == "ProxyActor"
    assert (
        kind_of(["/x/bin/python", "-W", "ignore", "-m", "benchmarks.baselines", "x"])
        == "benchmarks.baselines"
    )
    assert kind_of(["/x/raylet", "--id=1"]) == "raylet"


def test_a_server_is_started_measured_and_its_processes_killed_by_kind(tmp_path: Path) -> None:
    server = Server(["-c", "print('up'); import time; time.sleep(60)"], "up", tmp_path / "log")
    with running(server):
        ((kind, (count, mb)),) = server.memory_mb().items()
        server.kill("another")
        assert set(server.cpu_s()) == {kind}

        server.kill(kind)

        assert count == 1
        assert mb > 1
        assert server._process is not None
        assert server._process.wait(10) == -signal.SIGKILL


def test_every_workload_uses_models_that_are_loaded() -> None:
    for workload in map(quick, all_workloads()):
        assert set(workload.models) <= set(ALL)
        assert set(workload.one_round(stock=False)) == set(workload.kinds)


def test_the_naive_server_gets_the_stock_recording() -> None:
    diarization = next(one for one in all_workloads(300.0, 60.0) if one.name == "diarization")

    assert [kind.seconds for kind in diarization.one_round(stock=True)] == [60.0]
    assert [kind.seconds for kind in diarization.one_round(stock=False)] == [300.0]
    assert diarization.stock_scale == 291 / 51
