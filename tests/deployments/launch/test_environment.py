"""Environment variables of a cluster's processes."""

import importlib.util
import os
import random
import socket
import sys
from pathlib import Path

import pytest

from config.settings import ENGINE_CACHE
from deployments.launch import environment
from deployments.launch.environment import (
    HAPROXY_ENVIRONMENT,
    NODE_ENVIRONMENT,
    apply,
    free_block,
    free_ports,
    single_machine_environment,
)


def test_two_clusters_on_a_machine_share_no_file_and_no_port(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # One in seventy of all pairs that have not started yet would draw the same block.
    monkeypatch.setattr(environment, "random", random.Random(0))
    one, other = (single_machine_environment(tmp_path / name) for name in ("one", "other"))

    own = set(one) - set(NODE_ENVIRONMENT) - set(HAPROXY_ENVIRONMENT)
    shared_by_default = {
        "FALLBACK_PROXY_HTTP_PORT",
        "FALLBACK_PROXY_GRPC_PORT",
        "DIRECT_INGRESS_MIN_HTTP_PORT",
    }
    assert {f"RAY_SERVE_{name}" for name in shared_by_default} <= own
    assert [name for name in own if one[name] == other[name]] == []


def test_without_the_package_haproxy_is_not_configured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    found = single_machine_environment(tmp_path)

    assert found == NODE_ENVIRONMENT | {ENGINE_CACHE: found[ENGINE_CACHE]}
    assert Path(found[ENGINE_CACHE]).is_relative_to(tmp_path)


def test_haproxy_comes_with_serve() -> None:
    assert importlib.util.find_spec(environment.HAPROXY_PACKAGE) is not None


def test_variables_of_the_user_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXGRAPH_ONE", "theirs")
    monkeypatch.delenv("VOXGRAPH_OTHER", raising=False)

    apply({"VOXGRAPH_ONE": "ours", "VOXGRAPH_OTHER": "ours"})

    assert (os.environ["VOXGRAPH_ONE"], os.environ.pop("VOXGRAPH_OTHER")) == ("theirs", "ours")


def test_a_block_in_which_a_process_listens_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    (base,) = free_ports(1)
    monkeypatch.setattr(environment, "INGRESS_BLOCKS", (base,))
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", base))
        taken.listen()
        with pytest.raises(OSError, match="No 1 successive ports"):
            free_block(1)

    assert free_block(1) == base


def test_free_ports_are_different() -> None:
    ports = free_ports(20)

    assert len(set(ports)) == 20
    assert all(1024 < port < 65536 for port in ports)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells its range in a file")
def test_free_ports_are_not_given_to_outgoing_connections() -> None:
    """Else one may be taken between the choice and the start of the server that listens on it."""
    first, _ = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()

    assert max(free_ports(20)) < int(first)


def test_a_port_on_which_a_process_listens_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    base, other = free_ports(2)
    monkeypatch.setattr(environment, "SINGLE_PORTS", (base, other))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", base))
        taken.listen()

        assert free_ports(1) == [other]
        with pytest.raises(OSError, match="No 2 ports"):
            free_ports(2)
