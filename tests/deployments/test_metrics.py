"""Recorded metrics, with Serve's metric classes patched instead of scraped."""

import asyncio
import re
from typing import Any

import pytest
from launched import ROOT
from metric_names import exported
from plain_handles import handle

from config.settings import BatchTunables, IngressTunables
from deployments.replica import metrics
from deployments.replica.batcher import Batcher, BatchReport
from deployments.replica.metrics import ModelMetrics
from deployments.state.client import GraphStateClient
from deployments.state.graph_state import GraphState
from deployments.transport.metrics import IngressMetrics
from voxgraph.calls import Deadline

Recorded = dict[str, list[tuple[float, dict[str, str]]]]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """Record every value and its tags by the metric's name."""
    recorded: Recorded = {}

    def record(self: Any, value: float = 1.0, tags: dict[str, str] | None = None) -> None:
        recorded.setdefault(self._name, []).append((value, tags or {}))

    monkeypatch.setattr(metrics.Counter, "inc", record)
    monkeypatch.setattr(metrics.Gauge, "set", record)
    monkeypatch.setattr(metrics.Histogram, "observe", record)
    return recorded


def total(recorded: Recorded, name: str) -> float:
    return sum(value for value, _ in recorded.get(name, []))


async def test_batches_are_counted_with_their_padding(recorded: Recorded) -> None:
    model = ModelMetrics()
    batcher = Batcher[float, float](
        run=lambda items: items,
        cost=lambda item: item,
        tunables=BatchTunables(max_batch_items=3),
        on_batch=model.record,
    )

    await asyncio.gather(*(batcher.submit(seconds) for seconds in (2.0, 3.0, 4.0, 1.0)))

    assert total(recorded, "voxgraph_model_audio_seconds") == 10.0
    assert total(recorded, "voxgraph_padding_seconds") == 3.0  # 3 x 3 s for 1, 2 and 3 s, then 4 s alone
    assert [items for items, _ in recorded["voxgraph_batch_items"]] == [3, 1]
    assert len(recorded["voxgraph_model_seconds"]) == len(recorded["voxgraph_queue_age_seconds"]) == 2


def test_a_batch_without_padding_does_not_fail() -> None:
    ModelMetrics().record(BatchReport(items=1, cost_s=2.0, padded_s=2.0, waited_s=0.0, ran_s=0.1))


def test_received_audio_is_counted_by_question(recorded: Recorded) -> None:
    ingress = IngressMetrics()
    ingress.record_received("language", 3.0)
    ingress.record_received("language", 2.0)
    ingress.record_received("deepfake", 1.0)

    by_question = [(value, tags["question"]) for value, tags in recorded["voxgraph_received_audio_seconds"]]
    assert by_question == [(3.0, "language"), (2.0, "language"), (1.0, "deepfake")]


async def test_hits_and_misses_of_the_cache_are_counted_by_question(recorded: Recorded) -> None:
    state = GraphStateClient(handle(GraphState()), IngressTunables(accent_deadline_s=1.0, cache_entries=10))

    async def compute() -> str:
        await asyncio.sleep(0.01)
        return "en"

    def ask(question: str, key: str) -> "asyncio.Task[str]":
        return asyncio.create_task(state.cached(key, question, compute, Deadline.after(10)))

    await asyncio.gather(ask("language", "a"), ask("language", "a"), ask("language", "b"))
    await ask("speaker", "a")

    misses = [tags["question"] for _, tags in recorded["voxgraph_cache_miss_requests"]]
    hits = [tags["question"] for _, tags in recorded["voxgraph_cache_hit_requests"]]
    assert misses == ["language", "language"]
    assert hits == ["language", "speaker"]


def test_requests_are_counted_by_the_name_of_their_key(recorded: Recorded) -> None:
    state = GraphStateClient(handle(GraphState()), IngressTunables(accent_deadline_s=1.0, cache_entries=10))

    state.observe_key("clinic", 429)

    assert recorded["voxgraph_key_requests"] == [(1.0, {"key": "clinic", "status": "429"})]


def test_every_metric_is_named_after_the_project_and_its_unit() -> None:
    names = exported(ROOT / "deployments")

    assert len(names) >= 9
    for name in names:
        plain = re.sub("_(total|bucket|sum|count)$", "", name)
        assert plain.startswith("ray_voxgraph_"), name
        assert plain.endswith(("_seconds", "_items", "_requests", "_decisions")), name


def test_the_operations_guide_names_every_metric() -> None:
    guide = (ROOT / "docs" / "operations.md").read_text()
    names = {
        name.removeprefix("ray_").removesuffix("_total").removesuffix("_sum")
        for name in exported(ROOT / "deployments")
        if not name.endswith(("_bucket", "_count"))
    }

    assert [name for name in sorted(names) if f"`{name}`" not in guide] == []
