"""Models raise, hang and take their process down, processes die: who asks gets an answer or a refusal."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from math import inf

import httpx2
import prometheus
import pytest
from faulty import DEADLINE_S, HANGS_S, KILLS_S, RAISES_S, config
from ledger import CUT, HUNG, RIGHT, UNREACHABLE, WRONG, Ledger
from nodes import NODE, Cluster, three_nodes
from ray.serve.schema import ServeDeploySchema

from deployments.launch.launcher import deploy

BACK_WITHIN_S = 60.0
CALLERS, PAUSE_S = 4, 0.2
MODEL, STATE, INGRESS = "Language", "GraphState", "Ingress"
CONTROLLER, PROXY = "ServeController", "HAProxyManager"
BEHIND_THE_INGRESS = [
    *[MODEL, MODEL, STATE, MODEL, MODEL, STATE, MODEL] * 6, *[CONTROLLER, NODE] * 2,
]  # fmt: skip
AT_THE_DOOR = [INGRESS, PROXY, INGRESS, INGRESS]
"""What these have in hand is cut: nobody is left who could answer. With the others they are fifty kills."""
REFUSALS = {"503 model_unavailable", "503 overloaded", "408 deadline_exceeded"}
LEAVE = 10_000
DOOR_S = 15.0
"""Seconds of processor time that HAProxy may take for them; one and a half were measured."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with three_nodes(config(replicas=2), tmp_path_factory.mktemp("config") / "faulty.yaml") as cluster:
        cluster.settle()
        yield cluster


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
    print(Counter(ends[2:]), flush=True)
    # What waited in a stuck replica is asked elsewhere, since the replica is killed and not drained.
    assert RIGHT in ends[2:]
    assert before != {process.pid for process in cluster.processes(MODEL)}


async def test_a_model_that_takes_its_process_down_takes_no_other_answer_with_it(
    client: httpx2.AsyncClient,
) -> None:
    ledger = Ledger()

    ends = await asyncio.gather(ledger.ask(client, KILLS_S), *(ledger.ask(client) for _ in range(12)))
    await answered(client, ledger)

    assert ends[0] == "503 model_unavailable"
    assert not set(ends[1:]) - REFUSALS - {RIGHT}


async def test_ten_thousand_clients_that_go_away_leave_nothing_behind(
    client: httpx2.AsyncClient, cluster: Cluster
) -> None:
    ledger = Ledger()
    wav = ledger.recording(1.0)
    head = (
        f"POST /detect-language HTTP/1.1\r\nHost: test\r\nContent-Type: audio/wav\r\n"
        f"Content-Length: {len(wav)}\r\n\r\n"
    ).encode()

    async def leave(number: int) -> None:
        """Go in the middle of the upload, or before the answer."""
        _, writer = await asyncio.open_connection("127.0.0.1", cluster.head.port)
        writer.write(head + wav[: len(wav) // 2 if number % 2 else len(wav)])
        await writer.drain()
        await asyncio.sleep(0.02 * (number % 3))
        writer.transport.abort()

    for first in range(0, LEAVE, 50):
        await asyncio.gather(*(leave(number) for number in range(first, first + 50)))
    await answered(client, ledger)

    assert sum(sum(door.cpu_times()[:2]) for door in cluster.processes("haproxy")) < DOOR_S
    with cluster.head.driver():
        deadline = time.monotonic() + 60
        while any((gauges := await asyncio.to_thread(in_hand)).values()):
            assert time.monotonic() < deadline, gauges
            await asyncio.sleep(1)


async def test_a_rolling_update_of_a_model_fails_no_request(cluster: Cluster) -> None:
    new = config(replicas=2, ray_actor_options={"num_cpus": 0.02})
    new["http_options"]["port"] = cluster.head.port
    before = {process.pid for process in cluster.processes(MODEL)}
    ledger = Ledger()

    async with ledger.load(cluster.url, CALLERS, pause_s=0.01):
        with cluster.head.driver():
            await asyncio.to_thread(deploy, ServeDeploySchema.model_validate(new))
            deadline = time.monotonic() + 120
            while before & {process.pid for process in await asyncio.to_thread(cluster.processes, MODEL)}:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.2)
        await asyncio.sleep(2)

    print(ledger.counts, flush=True)
    assert len(before) == len(cluster.processes(MODEL)) == 2
    assert set(ledger.counts) == {RIGHT}
    assert ledger.counts[RIGHT] > 100


def in_hand() -> dict[str, float]:
    """What replicas say that they work on: requests by Serve's count, seconds of audio by ours.

    What no replica has told yet is infinite: Ray collects every ten seconds.
    """
    most = dict.fromkeys(("ray_serve_replica_processing_queries", "ray_voxgraph_backlog_audio_seconds"), inf)
    for line in prometheus.lines(*most):
        name, value = line.partition("{")[0], float(line.rpartition(" ")[2])
        most[name] = value if most[name] == inf else max(value, most[name])
    return most


@pytest.mark.timeout(900)
async def test_nothing_is_wrong_lost_or_hung_when_processes_behind_the_ingress_are_killed(
    cluster: Cluster,
) -> None:
    ledger = await killed(cluster, BEHIND_THE_INGRESS)

    assert not set(ledger.counts) - REFUSALS - {RIGHT}
    assert all(seconds <= DEADLINE_S + 1 for _, seconds in ledger.ends)
    assert ledger.counts[RIGHT] > 5 * len(BEHIND_THE_INGRESS)


async def test_only_what_was_in_hand_is_lost_when_the_ingress_or_the_proxy_is_killed(
    cluster: Cluster,
) -> None:
    ledger = await killed(cluster, AT_THE_DOOR)

    assert not set(ledger.counts) - REFUSALS - {RIGHT, CUT, UNREACHABLE}
    assert ledger.counts[CUT] <= CALLERS * len(AT_THE_DOOR)


async def killed(cluster: Cluster, victims: list[str]) -> Ledger:
    """How requests ended while one process after the other was killed."""
    ledger, probes = Ledger(), Ledger(made=1_000_000)
    back: dict[str, list[float]] = {}
    async with (
        ledger.load(cluster.url, CALLERS, PAUSE_S),
        httpx2.AsyncClient(base_url=cluster.url, timeout=None) as client,
    ):
        for name in victims:
            while not await asyncio.to_thread(cluster.kill, name):
                await asyncio.sleep(0.2)
            at = time.monotonic()
            await asyncio.sleep(1.0)
            await answered(client, probes)
            back.setdefault(name, []).append(round(time.monotonic() - at, 1))
    print(back, ledger.counts, round(max(seconds for _, seconds in ledger.ends), 1), flush=True)
    assert len(ledger.ends) == ledger.sent
    assert ledger.counts[WRONG] == ledger.counts[HUNG] == 0
    assert {name: len(times) for name, times in back.items()} == Counter(victims)
    return ledger
