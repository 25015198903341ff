"""A cluster of a head node like that of `make serve` and two more nodes, whose processes can be killed.

Serve restarts a killed replica on any of the nodes.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import yaml
from launched import Launched, running

from benchmarks.processes import kind_of
from deployments.launch.environment import HAPROXY_ENVIRONMENT, NODE_ENVIRONMENT

NODE = "a node"
NICENESS = "10"
"""Niceness of the extra nodes, which would otherwise slow down the graph while they start."""
SETTLED_CORES, SETTLE_TIMEOUT_S = 0.4, 60.0


class Cluster:
    """Three nodes on this machine."""

    def __init__(self, head: Launched) -> None:
        self.head = head
        self._nodes = [self._start() for _ in range(2)]

    @property
    def url(self) -> str:
        return self.head.url

    def _start(self) -> "subprocess.Popen[bytes]":
        command = ["nice", "-n", NICENESS, Path(sys.executable).with_name("ray"), "start"]
        return subprocess.Popen(
            [*command, f"--address={self.head.ray_address}", "--num-cpus=1", "--block",
             '--resources={"worker": 1}', "--object-store-memory=100000000", "--disable-usage-stats"],
            env=os.environ | NODE_ENVIRONMENT | HAPROXY_ENVIRONMENT | {"RAY_AUTH_MODE": "token"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def processes(self, kind: str) -> list[psutil.Process]:
        """Return Ray's processes of a kind, oldest first."""
        found = []
        for root in (self.head.process.pid, *(node.pid for node in self._nodes)):
            for process in psutil.Process(root).children(recursive=True):
                try:
                    if kind_of(process.cmdline()) == kind:
                        found.append(process)
                except (psutil.NoSuchProcess, psutil.ZombieProcess):
                    continue
        return sorted(found, key=lambda process: process.create_time())

    def kill(self, kind: str) -> bool:
        """Kill the oldest process of a kind, or replace the oldest node, and return whether one was found."""
        if kind == NODE:
            kill_tree(self._nodes.pop(0))
            self._nodes.append(self._start())
            return True
        found = self.processes(kind)[:1]
        for process in found:
            process.kill()
        return bool(found)

    def settle(self) -> None:
        """Wait until starting processes no longer load the CPU, so that only the graph is measured."""
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        while psutil.cpu_percent(interval=1) > 100 * SETTLED_CORES and time.monotonic() < deadline:
            pass

    def stop(self) -> None:
        for node in self._nodes:
            kill_tree(node)


@contextmanager
def three_nodes(config: dict[str, Any], path: Path) -> Iterator[Cluster]:
    path.write_text(yaml.safe_dump(config))
    with running(path) as head:
        cluster = Cluster(head)
        try:
            yield cluster
        finally:
            cluster.stop()


def kill_tree(process: "subprocess.Popen[bytes]") -> None:
    tree = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for one in tree:
        try:
            one.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()
