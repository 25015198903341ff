"""The dashboard queries metrics that exist."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest
import ray
from launched import INGRESSES, ROOT, Launched
from metric_names import exported

DASHBOARD = json.loads((ROOT / "deploy" / "grafana.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]
RAY = Path(ray.__file__).parent


def metrics(expression: str) -> set[str]:
    """Return the metrics that a PromQL expression names."""
    return set(re.findall(r"\b(?:ray|voxgraph)_\w+", expression))


def scraped(service: Launched) -> str:
    """Return the metrics that Prometheus would scrape from the only node."""
    code = "import ray; ray.init('auto', log_to_driver=False); print(ray.nodes()[0]['MetricsExportPort'])"
    environment = os.environ | {"RAY_ADDRESS": service.ray_address}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return httpx2.get(f"http://127.0.0.1:{ran.stdout.split()[-1]}/metrics", timeout=10).text


@pytest.fixture(scope="module")
def exported_metrics() -> set[str]:
    return exported(RAY / "serve", RAY / "dashboard" / "modules" / "reporter", ROOT / "deployments")


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_metric_of_the_dashboard_exists(expression: str, exported_metrics: set[str]) -> None:
    assert metrics(expression)
    assert metrics(expression) <= exported_metrics


def test_every_variable_is_declared() -> None:
    declared = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(PANELS)))

    assert used == declared


def test_the_dashboard_shows_the_essential_metrics() -> None:
    named = set().union(*(metrics(expression) for expression in EXPRESSIONS))

    assert named >= {
        "ray_serve_num_http_requests_total",
        "ray_serve_num_http_error_requests_total",
        "ray_serve_deployment_processing_latency_ms_bucket",
        "ray_serve_deployment_queued_queries",
        "ray_serve_deployment_replica_healthy",
        "ray_serve_autoscaling_target_replicas",
        "ray_voxgraph_backlog_audio_seconds",
        "ray_voxgraph_queue_age_seconds_bucket",
    }


def test_panels_have_unique_positions_and_ids() -> None:
    everything = DASHBOARD["panels"]

    assert len({panel["id"] for panel in everything}) == len(everything)
    assert len({(p["gridPos"]["x"], p["gridPos"]["y"]) for p in everything}) == len(everything)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in everything)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_brackets_are_balanced(expression: str) -> None:
    for opened, closed in ("()", "{}", "[]"):
        assert expression.count(opened) == expression.count(closed)


def test_a_running_graph_exports_the_metrics_of_the_dashboard(service: Launched, http: httpx2.Client) -> None:
    """Exceptions are metrics of GPUs, and those that need more load or a failing replica."""
    elsewhere = {"ray_voxgraph_padding_seconds_total"}
    elsewhere |= {"ray_node_gpus_utilization", "ray_node_gram_used", "ray_serve_autoscaling_total_requests"}
    elsewhere |= {"ray_serve_autoscaling_target_ongoing_requests", "ray_serve_deployment_error_counter_total"}
    wanted = set().union(*(metrics(expression) for expression in EXPRESSIONS)) - elsewhere
    # One request more than there are ingress replicas, so that one of them answers from its cache.
    for _ in range(INGRESSES + 1):
        http.post("/detect-language", content=(ROOT / "tests" / "data" / "voice.wav").read_bytes())
    http.post("/detect-language", content=b"no recording")

    deadline, missing = time.monotonic() + 60, wanted
    while missing and time.monotonic() < deadline:
        time.sleep(2)
        missing = wanted - set(re.findall(r"^(ray_\w+)", scraped(service), re.MULTILINE))

    assert not missing
