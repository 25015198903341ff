"""Measures the batch size up to which a larger forward pass makes each clip cheaper on this device.

On a GPU, larger batches are faster per clip up to a point; on a CPU it depends on the chip. Time per clip of
full-size ECAPA, clips of 3 s, one core: a Xeon in float32 takes 116 ms alone, 120 ms in batches of 8, 204 ms
in batches of 32; a Zen 5 in bfloat16 takes 35 ms alone, 32 ms in batches of 4, 31 ms in batches of 32.
"""

import time
from collections.abc import Callable
from typing import TypeVar

Item = TypeVar("Item")

MAX_BATCH_ITEMS = 64
MAX_COST_RATIO = 0.95
"""The batch is doubled while the time per clip falls to at most this fraction of the previous one."""
MAX_BATCH_S = 1.0
"""A batch that takes longer is not doubled again, because other requests would wait for it."""
REPEATS = 2
"""Timed runs of each batch size; the fastest counts."""


def best_batch_size(
    run: Callable[[list[Item]], object],
    item: Item,
    is_out_of_memory: Callable[[BaseException], bool],
    clock: Callable[[], float] = time.perf_counter,
) -> int:
    """Return the largest batch size that still makes clips cheaper, a power of two up to `MAX_BATCH_ITEMS`.

    Args:
        run: The model.
        item: Item of which the batches consist.
        is_out_of_memory: Whether an error of `run` means that the batch does not fit the device.
        clock: A monotonic clock in seconds.

    Raises:
        Exception: What `run` raises; an out-of-memory error only if a single item does not fit.
    """

    def seconds(size: int) -> float:
        run([item] * size)  # The first run of a shape selects its kernels.
        taken: list[float] = []
        while len(taken) < REPEATS and sum(taken) < MAX_BATCH_S / 2:
            started = clock()
            run([item] * size)
            taken.append(clock() - started)
        return min(taken)

    best, before = 1, seconds(1)
    while before <= MAX_BATCH_S and 2 * best <= MAX_BATCH_ITEMS:
        try:
            now = seconds(2 * best)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            break
        if now / 2 > MAX_COST_RATIO * before:
            break
        best, before = 2 * best, now
    return best
