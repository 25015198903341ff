"""What a process frees is the system's again."""

import psutil

from deployments.replica.malloc_trim import malloc_trim


def test_memory_that_was_freed_below_what_is_used_is_given_back() -> None:
    process = psutil.Process()
    blocks = [bytes(1_000) for _ in range(100_000)]
    used = process.memory_info().rss
    # One in a hundred stays, the last of all among them.
    blocks = blocks[99::100]
    freed = process.memory_info().rss

    malloc_trim()

    assert len(blocks) == 1_000
    assert used - freed < 50e6
    assert used - process.memory_info().rss > 80e6
