"""Replicas scale with the queued audio, and are replaced without a gap."""

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


async def wait_until(reached: Callable[[], bool], limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not await asyncio.to_thread(reached):
        assert time.monotonic() < deadline, serve.status()
        await asyncio.sleep(0.5)


@contextlib.asynccontextmanager
async def load(handle: Any, callers: int) -> AsyncIterator[list[int]]:
    """Run a closed loop of callers during the block; the yielded list grows by their answers."""
    clip = ray.put(np.zeros(round(SECONDS * 16_000), np.float32))
    answers: list[int] = []
    running = True

    async def call() -> None:
        while running:
            answers.append(await handle.answer.remote(clip))

    tasks = [asyncio.create_task(call()) for _ in range(callers)]
    try:
        yield answers
    finally:
        running = False
        await asyncio.gather(*tasks)


async def test_replicas_scale_up_and_down_with_the_queued_audio() -> None:
    often = serve.get_deployment_handle("Often", "simulated")
    assert replicas("Often") == 1

    async with load(often, CALLERS) as answers:
        # 400 s of audio at 60 s per replica reach the maximum of 4; 40 requests at 16 per replica would be 3.
        await wait_until(lambda: replicas("Often") == 4, limit_s=90)
    await wait_until(lambda: replicas("Often") == 1, limit_s=90)

    assert len(answers) > CALLERS
    assert set(answers) == {round(SECONDS * 16_000)}


async def test_an_idle_model_scales_to_zero_and_starts_for_a_request() -> None:
    assert replicas("Rarely") == 0

    rarely = serve.get_deployment_handle("Rarely", "simulated")
    assert await rarely.answer.remote(np.zeros(16_000, np.float32)) == 16_000
    assert replicas("Rarely") == 1
    await wait_until(lambda: replicas("Rarely") == 0, limit_s=90)


async def test_a_single_replica_is_replaced_without_a_gap(simulated: Launched) -> None:
    often = serve.get_deployment_handle("Often", "simulated")
    await wait_until(lambda: replicas("Often") == 1, limit_s=90)
    before = await often.process.remote()

    replica_counts: list[int | None] = []

    def updated() -> bool:
        replica_counts.append(replicas("Often"))
        return serve.status().applications["simulated"].status == "RUNNING"

    async with load(often, callers=2) as answers, asyncio.timeout(240):
        await asyncio.to_thread(redeploy, simulated, "2")
        while await often.process.remote() == before:
            replica_counts.append(await asyncio.to_thread(replicas, "Often"))
            await asyncio.sleep(0.2)
        await wait_until(updated, limit_s=120)
        answered = len(answers)
        await wait_until(lambda: len(answers) > answered, limit_s=30)

    assert await often.process.remote() != before
    assert 0 not in replica_counts
    assert set(answers) == {round(SECONDS * 16_000)}


async def test_a_replica_has_its_share_of_a_gpu() -> None:
    often = serve.get_deployment_handle("Often", "simulated")

    assert await often.gpu.remote() == (["0"], SHARE)


def test_our_metrics_are_on_the_prometheus_endpoint_of_ray(simulated: Launched) -> None:
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


def test_log_lines_of_replicas_carry_the_request_id(simulated: Launched) -> None:
    for number in range(3):
        answer = httpx2.get(
            f"{simulated.url}/?seconds=7", headers={"x-request-id": f"caller-{number}"}, timeout=60
        )
        assert answer.text == "failed"

    logs = Path(ray._private.worker.global_worker.node.get_session_dir_path()) / "logs" / "serve"
    lines = [json.loads(line) for file in logs.glob("replica_*") for line in file.read_text().splitlines()]
    for message in ("Request received", "A recording failed in the model"):
        ids = {line.get("request_id") for line in lines if line["message"].startswith(message)}
        assert ids >= {"caller-0", "caller-1", "caller-2"}, message
