"""Replicas come and go with the audio that waits, and are replaced without a gap."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import prometheus
import pytest
import ray
from launched import Launched
from ray import serve
from simulated_cluster import SHARE, redeploy, replicas

CALLERS = 40
SECONDS = 10.0

pytestmark = pytest.mark.usefixtures("simulated")


async def until(reached: Callable[[], bool], limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not await asyncio.to_thread(reached):
        assert time.monotonic() < deadline, serve.status()
        await asyncio.sleep(0.5)


@contextlib.asynccontextmanager
async def load(handle: Any, callers: int) -> AsyncIterator[list[int]]:
    """So many callers, each asking again as soon as it is answered; the list grows by their answers."""
    clip = ray.put(np.zeros(round(SECONDS * 16_000), np.float32))
    answers: list[int] = []
    going = True

    async def call() -> None:
        while going:
            answers.append(await handle.answer.remote(clip))

    tasks = [asyncio.create_task(call()) for _ in range(callers)]
    try:
        yield answers
    finally:
        going = False
        await asyncio.gather(*tasks)


async def test_replicas_follow_the_audio_up_and_down_again() -> None:
    often = serve.get_deployment_handle("Often", "simulated")
    assert replicas("Often") == 1

    async with load(often, CALLERS) as answers:
        # 400 s of audio at 60 s a replica; 40 requests at 16 a replica would be 3.
        await until(lambda: replicas("Often") == 4, limit_s=90)
    await until(lambda: replicas("Often") == 1, limit_s=90)

    assert len(answers) > CALLERS
    assert set(answers) == {round(SECONDS * 16_000)}


async def test_a_model_nobody_asks_has_no_replica_and_wakes_for_who_does() -> None:
    assert replicas("Rarely") == 0

    rarely = serve.get_deployment_handle("Rarely", "simulated")
    assert await rarely.answer.remote(np.zeros(16_000, np.float32)) == 16_000
    assert replicas("Rarely") == 1
    await until(lambda: replicas("Rarely") == 0, limit_s=90)


async def test_a_sole_replica_is_replaced_without_a_gap(simulated: Launched) -> None:
    often = serve.get_deployment_handle("Often", "simulated")
    await until(lambda: replicas("Often") == 1, limit_s=90)
    before = await often.process.remote()

    running: list[int | None] = []

    def updated() -> bool:
        running.append(replicas("Often"))
        return serve.status().applications["simulated"].status == "RUNNING"

    async with load(often, callers=2) as answers, asyncio.timeout(240):
        await asyncio.to_thread(redeploy, simulated, "2")
        while await often.process.remote() == before:
            running.append(await asyncio.to_thread(replicas, "Often"))
            await asyncio.sleep(0.2)
        await until(updated, limit_s=120)
        asked = len(answers)
        await until(lambda: len(answers) > asked, limit_s=30)

    assert await often.process.remote() != before
    assert 0 not in running
    assert set(answers) == {round(SECONDS * 16_000)}


async def test_a_replica_knows_its_share_of_a_gpu() -> None:
    often = serve.get_deployment_handle("Often", "simulated")

    assert await often.gpu.remote() == (["0"], SHARE)


def test_our_metrics_are_on_rays_prometheus_endpoint(simulated: Launched) -> None:
    httpx2.get(f"{simulated.url}/?seconds=3", timeout=60).raise_for_status()
    deadline = time.monotonic() + 60
    while not prometheus.lines("ray_voxgraph_model_audio_seconds_total"):
        assert time.monotonic() < deadline
        time.sleep(2)
    lines = prometheus.lines("ray_voxgraph_")

    assert all('deployment="' in line and 'application="simulated"' in line for line in lines)
    assert {line.split("{")[0] for line in lines} >= {
        "ray_voxgraph_model_seconds_sum",
        "ray_voxgraph_batch_items_count",
        "ray_voxgraph_queue_age_seconds_bucket",
        "ray_voxgraph_backlog_audio_seconds",
    }


def test_what_replicas_log_carries_the_id_of_the_request(simulated: Launched) -> None:
    for number in range(3):
        answer = httpx2.get(
            f"{simulated.url}/?seconds=7", headers={"x-request-id": f"caller-{number}"}, timeout=60
        )
        assert answer.text == "failed"

    logs = Path(ray._private.worker.global_worker.node.get_session_dir_path()) / "logs" / "serve"
    lines = [json.loads(line) for file in logs.glob("replica_*") for line in file.read_text().splitlines()]
    for message in ("Asked at the door", "A recording failed in the model"):
        ids = {line.get("request_id") for line in lines if line["message"].startswith(message)}
        assert ids >= {"caller-0", "caller-1", "caller-2"}, message
