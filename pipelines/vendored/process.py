"""Process-wide settings: torch's float32 precision and its cap on GPU memory."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_float32() -> Iterator[None]:
    """Disable TF32 on CUDA within the block; every pipeline does.

    cuDNN rounds to TF32 (10 bits of mantissa) by default, and importing SpeechBrain enables it for matrix
    products, too (speechbrain/utils/quirks.py). A clip's result would then depend on its batch.
    """
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    products.allow_tf32 = convolutions.allow_tf32 = False
    try:
        yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before


def cap_memory(device: str, share: float) -> None:
    """Cap this process's GPU memory at its share, because Ray does not enforce fractions of a GPU.

    Beyond the cap, torch raises an error that `is_out_of_memory` recognises. Call it before loading a model.
    The CUDA context, which torch does not allocate, is not included.

    `share` is in GPUs; from 1.0 on, and on a CPU, nothing is capped.
    """
    if device.startswith("cuda") and share < 1:
        torch.cuda.set_per_process_memory_fraction(share, device)
