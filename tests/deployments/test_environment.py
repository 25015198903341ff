"""What the processes of a cluster find in their environment."""

import importlib.util
import os
from pathlib import Path

import pytest

from config.settings import ENGINE_CACHE
from deployments.launch import environment
from deployments.launch.environment import EVERY_NODE, HAPROXY, apply, free_ports, of_one_machine


def test_two_graphs_on_a_machine_share_no_file_and_no_port(tmp_path: Path) -> None:
    one, other = (of_one_machine(tmp_path / name) for name in ("one", "other"))

    own = set(one) - set(EVERY_NODE) - set(HAPROXY)
    assert any(name.endswith("_PORT") for name in own)
    assert [name for name in own if one[name] == other[name]] == []


def test_it_goes_without_haproxy_where_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    found = of_one_machine(tmp_path)

    assert found == EVERY_NODE | {ENGINE_CACHE: found[ENGINE_CACHE]}
    assert Path(found[ENGINE_CACHE]).is_relative_to(tmp_path)


def test_haproxy_comes_with_serve() -> None:
    assert importlib.util.find_spec(environment.HAPROXY_PACKAGE) is not None


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXGRAPH_ONE", "theirs")
    monkeypatch.delenv("VOXGRAPH_OTHER", raising=False)

    apply({"VOXGRAPH_ONE": "ours", "VOXGRAPH_OTHER": "ours"})

    assert (os.environ["VOXGRAPH_ONE"], os.environ.pop("VOXGRAPH_OTHER")) == ("theirs", "ours")


def test_free_ports_are_many_different_ones() -> None:
    ports = free_ports(20)

    assert len(set(ports)) == 20
    assert all(1024 < port < 65536 for port in ports)
