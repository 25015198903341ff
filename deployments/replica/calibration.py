"""How many clips a forward pass should take on this device: as many as make each of them cheaper.

On a GPU larger batches are faster per clip up to a point; on a CPU that is up to the chip (full-size ECAPA,
clips of 3 s, one core: a Xeon in float32 116 ms alone, 120 ms in eights, 204 ms in batches of 32, a Zen 5 in
bfloat16 35 ms alone, 32 ms in fours, 31 ms in batches of 32).
"""

import time
from collections.abc import Callable
from typing import TypeVar

Item = TypeVar("Item")

LARGEST = 64
WORTH = 0.95
"""Doubling goes on while a clip takes at most this share of what it took before."""
PATIENCE_S = 1.0
"""A batch that takes longer is the last that is tried: others would wait for it."""
ROUNDS = 2


def best_batch(
    run: Callable[[list[Item]], object],
    item: Item,
    is_out_of_memory: Callable[[BaseException], bool],
    clock: Callable[[], float] = time.perf_counter,
) -> int:
    """The largest batch that still makes clips cheaper, a power of two up to `LARGEST`.

    Args:
        run: The model.
        item: What it is tried with.
        is_out_of_memory: Whether an error of `run` says that the device is too small for the batch.
        clock: In seconds.

    Raises:
        Exception: What `run` raises; for want of memory only if one item alone is too large.
    """

    def seconds(size: int) -> float:
        run([item] * size)  # kernels are chosen for a shape when it is first seen
        taken: list[float] = []
        while len(taken) < ROUNDS and sum(taken) < PATIENCE_S / 2:
            started = clock()
            run([item] * size)
            taken.append(clock() - started)
        return min(taken)

    best, before = 1, seconds(1)
    while before <= PATIENCE_S and 2 * best <= LARGEST:
        try:
            now = seconds(2 * best)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            break
        if now / 2 > WORTH * before:
            break
        best, before = 2 * best, now
    return best
