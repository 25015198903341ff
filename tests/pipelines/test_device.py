"""A process keeps to its share of a GPU, and makes way on a CPU."""

import os
import threading

import pytest
import torch

from pipelines.device import is_out_of_memory
from pipelines.vendored.process import NICENESS, NICEST, cap_memory, lower_cpu_priority


@pytest.fixture
def caps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, str]]:
    """What torch was told, without a GPU."""
    caps: list[tuple[float, str]] = []
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda share, device: caps.append((share, device))
    )
    return caps


def test_a_share_of_a_gpu_is_a_cap_on_its_memory(caps: list[tuple[float, str]]) -> None:
    cap_memory("cuda:0", 0.15)

    assert caps == [(0.15, "cuda:0")]


@pytest.mark.parametrize(("device", "share"), [("cpu", 0.0), ("cpu", 0.15), ("cuda:0", 1.0), ("cuda:0", 2.0)])
def test_a_cpu_and_whole_gpus_are_not_capped(
    caps: list[tuple[float, str]], device: str, share: float
) -> None:
    cap_memory(device, share)

    assert caps == []


def test_running_into_the_cap_is_known_as_too_little_memory() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert not is_out_of_memory(RuntimeError("device-side assert"))


def scheduling(thread: int) -> tuple[int, int]:
    return os.sched_getscheduler(thread), os.getpriority(os.PRIO_PROCESS, thread)


@pytest.mark.parametrize(
    ("device", "expected"), [("cpu", (os.SCHED_IDLE, 15)), ("cuda:0", (os.SCHED_OTHER, 15))]
)
def test_long_work_on_a_cpu_makes_way_in_its_own_threads_alone(
    device: str, expected: tuple[int, int]
) -> None:
    assert _in_a_thread_of_one_that_makes_way(device, own=15) == expected


@pytest.mark.parametrize(("own", "expected"), [(0, NICENESS), (15, NICEST)])
def test_where_there_is_no_such_policy_it_is_nice(
    monkeypatch: pytest.MonkeyPatch, own: int, expected: int
) -> None:
    monkeypatch.delattr(os, "SCHED_IDLE")

    assert _in_a_thread_of_one_that_makes_way("cpu", own)[1] == expected


def _in_a_thread_of_one_that_makes_way(device: str, own: int) -> tuple[int, int]:
    found: list[tuple[int, int]] = []

    def work() -> None:
        os.setpriority(os.PRIO_PROCESS, 0, own)
        lower_cpu_priority(device)
        started = threading.Thread(target=lambda: found.append(scheduling(threading.get_native_id())))
        started.start()
        started.join()

    before = scheduling(threading.get_native_id())
    worker = threading.Thread(target=work)
    worker.start()
    worker.join()

    assert scheduling(threading.get_native_id()) == before
    return found[0]
