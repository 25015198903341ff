"""Settings of the whole process: the precision of torch, its share of a GPU, the priority of its threads."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

NICENESS = 10
"""Added to the niceness of a thread where the system has no `SCHED_IDLE`."""
NICEST = 19


@contextmanager
def full_float32() -> Iterator[None]:
    """Compute float32 as float32 on CUDA, whatever the process has set; every pipeline does.

    cuDNN rounds to TF32 (10 bits of mantissa) by default, and importing SpeechBrain sets it for products
    too (speechbrain/utils/quirks.py): a clip would then answer differently in different batches.
    """
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    products.allow_tf32 = convolutions.allow_tf32 = False
    try:
        yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before


def cap_memory(device: str, share: float) -> None:
    """Let this process allocate no more of a GPU's memory than its share: Ray's shares are bookkeeping only.

    Beyond it torch raises what `is_out_of_memory` knows. Call it before anything is loaded. The process's
    CUDA context, which torch does not allocate, comes on top.

    Args:
        device: A torch device; nothing is capped on a CPU.
        share: GPUs assigned to this process; a whole one or more is no cap.
    """
    if device.startswith("cuda") and share < 1:
        torch.cuda.set_per_process_memory_fraction(share, device)


def lower_cpu_priority(device: str) -> None:
    """Let other processes of the machine go first: for work of minutes beside work of milliseconds.

    On Linux by the policy ``SCHED_IDLE``: who wakes beside it runs at once, and has a core but for a twelfth
    (``kernel/sched/sched.h``: a weight of 3, and of 36 for Ray's workers, whose niceness is 15). Call it
    before the model is loaded: it holds for this thread and for those that it starts from now on.

    Args:
        device: A torch device; on a GPU nothing is done.
    """
    if device != "cpu":
        return
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.setpriority(os.PRIO_PROCESS, 0, min(NICEST, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS))
