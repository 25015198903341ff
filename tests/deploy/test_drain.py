"""Draining a worker waits for its replicas, with a limit."""

import time
from types import ModuleType

import pytest
from scripts import load_script


@pytest.fixture
def drain(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load_script("deploy/drain.py")
    monkeypatch.setattr(module, "POLL_S", 0.01)
    return module


def test_drain_waits_until_no_process_serves(drain: ModuleType) -> None:
    serving = iter([3, 1, 1, 0])

    assert drain.wait(time.monotonic() + 60, lambda: next(serving))
    assert next(serving, None) is None


def test_drain_stops_waiting_at_the_deadline(drain: ModuleType) -> None:
    assert not drain.wait(time.monotonic() + 0.05, lambda: 1)


def test_drain_reports_that_the_node_could_not_be_marked(
    drain: ModuleType, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(drain.sys, "executable", "/nowhere/bin/python")

    drain.mark_draining(1)

    assert "Could not mark the node as draining: " in capfd.readouterr().err
