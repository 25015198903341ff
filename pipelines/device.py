"""Ask torch about accelerators. The deployments choose the device that a pipeline runs on."""

import torch


def cuda_is_available() -> bool:
    """Whether torch finds a CUDA device in this process."""
    return torch.cuda.is_available()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a forward pass failed because the device ran out of memory."""
    return isinstance(error, torch.OutOfMemoryError)
