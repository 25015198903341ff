"""A worker that leaves waits for its replicas, and not for ever."""

import time
from types import ModuleType

import pytest
from scripts import loaded


@pytest.fixture
def drain(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = loaded("deploy/drain.py")
    monkeypatch.setattr(module, "POLL_S", 0.01)
    return module


def test_it_waits_until_nothing_serves(drain: ModuleType) -> None:
    serving = iter([3, 1, 1, 0])

    assert drain.wait(time.monotonic() + 60, lambda: next(serving))
    assert next(serving, None) is None


def test_it_does_not_wait_for_ever(drain: ModuleType) -> None:
    assert not drain.wait(time.monotonic() + 0.05, lambda: 1)


def test_where_no_head_can_be_told_only_the_wait_is_left(
    drain: ModuleType, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(drain.sys, "executable", "/nowhere/bin/python")

    drain.tell(1)

    assert "was not told" in capfd.readouterr().err
