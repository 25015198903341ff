"""A process stays within its share of a GPU."""

import pytest
import torch

from pipelines.device import is_out_of_memory
from pipelines.vendored.process import cap_memory


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
