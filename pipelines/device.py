"""What torch can say of the machine; the device itself is decided by who assigns accelerators."""

import torch


def cuda_is_available() -> bool:
    """Whether torch finds a CUDA device in this process."""
    return torch.cuda.is_available()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a forward pass failed for want of device memory."""
    return isinstance(error, torch.OutOfMemoryError)
