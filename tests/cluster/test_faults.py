"""Models raise, hang and take their process down: every request ends with its right answer or a refusal."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import psutil
import pytest
import yaml
from faulty import DEADLINE_S, HANGS_S, KILLS_S, RAISES_S, config
from launched import Launched, running
from ledger import RIGHT, Ledger

BACK_WITHIN_S = 60.0
MODEL = "ServeReplica:voxgraph:Language"
REFUSALS = {"503 model_unavailable", "503 overloaded", "408 deadline_exceeded"}


class Cluster:
    """A head and two more nodes."""

    def __init__(self, head: Launched) -> None:
        self.head = head
        self._nodes = [self._start() for _ in range(2)]

    @property
    def url(self) -> str:
        return self.head.url

    def _start(self) -> "subprocess.Popen[bytes]":
        command = Path(sys.executable).with_name("ray")
        return subprocess.Popen(
            [command, "start", f"--address={self.head.ray_address}", "--num-cpus=1", "--block",
             '--resources={"worker": 1}', "--object-store-memory=100000000", "--disable-usage-stats"],
            env=os.environ | {"RAY_AUTH_MODE": "token"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def processes(self, name: str) -> list[psutil.Process]:
        """Ray's processes whose command line has a name."""
        found = []
        for root in (self.head.process.pid, *(node.pid for node in self._nodes)):
            for process in psutil.Process(root).children(recursive=True):
                try:
                    if name in " ".join(process.cmdline()):
                        found.append(process)
                except (psutil.NoSuchProcess, psutil.ZombieProcess):
                    continue
        return found

    def settle(self) -> None:
        """Wait until nodes that start take the processor no more: what is measured is the graph."""
        deadline = time.monotonic() + 60
        while psutil.cpu_percent(interval=2) > 40 and time.monotonic() < deadline:
            pass

    def stop(self) -> None:
        for node in self._nodes:
            end_tree(node)


def end_tree(process: "subprocess.Popen[bytes]") -> None:
    tree = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for one in tree:
        try:
            one.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    path: Path = tmp_path_factory.mktemp("config") / "faulty.yaml"
    path.write_text(yaml.safe_dump(config(replicas=2)))
    with running(path) as head:
        started = Cluster(head)
        try:
            started.settle()
            yield started
        finally:
            started.stop()


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=cluster.url, timeout=None) as client:
        await answered(client, Ledger())
        yield client


async def answered(client: httpx2.AsyncClient, ledger: Ledger) -> float:
    """Ask until three in a row are right: seconds."""
    started = time.monotonic()
    right = 0
    while right < 3:
        assert time.monotonic() - started < BACK_WITHIN_S, ledger.counts
        right = right + 1 if await ledger.ask(client) == RIGHT else 0
    return time.monotonic() - started


async def test_a_model_that_raises_fails_its_recording_alone(client: httpx2.AsyncClient) -> None:
    ledger = Ledger()

    ends = await asyncio.gather(*(ledger.ask(client, seconds) for seconds in (0.5, RAISES_S, 0.6, 0.7)))

    assert ends == [RIGHT, "500 inference_error", RIGHT, RIGHT]


async def test_every_call_ends_by_its_deadline_where_a_model_is_stuck_and_its_replica_is_replaced(
    client: httpx2.AsyncClient, cluster: Cluster
) -> None:
    before = {process.pid for process in cluster.processes(MODEL)}
    ledger = Ledger()

    stuck = [asyncio.create_task(ledger.ask(client, HANGS_S)) for _ in range(2)]
    others = [asyncio.create_task(ledger.ask(client)) for _ in range(20)]
    ends = await asyncio.gather(*stuck, *others)
    await answered(client, ledger)

    assert all(seconds <= DEADLINE_S + 1 for _, seconds in ledger.ends)
    assert not set(ends[:2]) - REFUSALS
    assert not set(ends[2:]) - REFUSALS - {RIGHT}
    assert before != {process.pid for process in cluster.processes(MODEL)}


async def test_a_model_that_takes_its_process_down_takes_no_other_answer_with_it(
    client: httpx2.AsyncClient,
) -> None:
    ledger = Ledger()

    ends = await asyncio.gather(ledger.ask(client, KILLS_S), *(ledger.ask(client) for _ in range(12)))
    await answered(client, ledger)

    assert ends[0] == "503 model_unavailable"
    assert not set(ends[1:]) - REFUSALS - {RIGHT}
