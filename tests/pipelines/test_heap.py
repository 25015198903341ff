"""Freed memory is returned to the system."""

import psutil

from pipelines.heap import return_freed_memory


def test_freed_memory_below_blocks_in_use_is_returned_to_the_system() -> None:
    process = psutil.Process()
    blocks = [bytes(1_000) for _ in range(100_000)]
    used = process.memory_info().rss
    # One block in a hundred stays in use, including the last, so glibc cannot shrink the heap from its end.
    blocks = blocks[99::100]
    freed = process.memory_info().rss

    return_freed_memory()

    assert len(blocks) == 1_000
    assert used - freed < 50e6
    assert used - process.memory_info().rss > 80e6
