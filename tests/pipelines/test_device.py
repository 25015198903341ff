"""A process stays within its share of a GPU and lowers its priority on a CPU."""

import os
import threading

import pytest
import torch

from pipelines.device import is_out_of_memory
from pipelines.vendored.process import MAX_NICENESS, NICENESS, cap_memory, lower_cpu_priority


@pytest.fixture
def caps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, str]]:
    """Record the calls of torch's cap, which needs a GPU."""
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


def test_only_torchs_out_of_memory_error_counts_as_out_of_memory() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert not is_out_of_memory(RuntimeError("device-side assert"))


def scheduling(thread: int) -> tuple[int, int]:
    return os.sched_getscheduler(thread), os.getpriority(os.PRIO_PROCESS, thread)


@pytest.mark.parametrize(
    ("device", "expected"), [("cpu", (os.SCHED_IDLE, 15)), ("cuda:0", (os.SCHED_OTHER, 15))]
)
def test_lower_priority_on_a_cpu_applies_only_to_the_thread_and_its_children(
    device: str, expected: tuple[int, int]
) -> None:
    assert scheduling_of_a_child_thread(device, niceness=15) == expected


@pytest.mark.parametrize(("niceness", "expected"), [(0, NICENESS), (15, MAX_NICENESS)])
def test_without_sched_idle_the_niceness_is_raised(
    monkeypatch: pytest.MonkeyPatch, niceness: int, expected: int
) -> None:
    monkeypatch.delattr(os, "SCHED_IDLE")

    assert scheduling_of_a_child_thread("cpu", niceness)[1] == expected


def scheduling_of_a_child_thread(device: str, niceness: int) -> tuple[int, int]:
    """Return policy and niceness of a thread that starts after its parent has lowered its priority."""
    found: list[tuple[int, int]] = []

    def work() -> None:
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
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
