"""A process keeps to its share of a GPU, and makes way on a CPU."""

import os
import threading

import pytest
import torch

from pipelines.device import NICENESS, NICEST, cap_memory, is_out_of_memory, make_way


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


@pytest.mark.parametrize(
    ("device", "own", "expected"), [("cpu", 0, NICENESS), ("cpu", 15, NICEST), ("cuda:0", 15, 15)]
)
def test_long_work_on_a_cpu_makes_way_in_its_own_threads_alone(device: str, own: int, expected: int) -> None:
    found: list[int] = []

    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def work() -> None:
        os.setpriority(os.PRIO_PROCESS, 0, own)
        make_way(device)
        started = threading.Thread(target=lambda: found.append(priority()))
        started.start()
        started.join()

    before = priority()
    worker = threading.Thread(target=work)
    worker.start()
    worker.join()

    assert found == [expected]
    assert priority() == before
