"""Answers that one ingress replica keeps, and identical questions in flight that it computes once.

Each ingress replica has a cache of its own. A cache of the whole cluster was measured beside it and answered
no faster (``benchmarks/RESULTS.md``): a call to another process costs what a short answer does.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import numpy as np

from deployments.transport.clips import Samples

T = TypeVar("T")

INLINE_BYTES = 1 << 20
"""A recording of more bytes is hashed in a thread; a megabyte takes less than a millisecond."""


class ResultCache:
    """The least recently used results by key. For one event loop.

    Args:
        max_entries: Number of results that are kept; with 0 identical questions in flight are still computed
            once.
    """

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._results: OrderedDict[str, Any] = OrderedDict()
        self._pending: dict[str, asyncio.Future[Any]] = {}

    def __len__(self) -> int:
        return len(self._results)

    def resize(self, max_entries: int) -> None:
        """Change the number of results that are kept."""
        self._max_entries = max_entries
        self._trim()

    def clear(self) -> None:
        """Forget every result; what is being computed goes on and is kept."""
        self._results.clear()

    async def get_or_compute(self, key: str, compute: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """Return the result of a key and whether it was there, or was being computed for another request.

        Where that other request fails or is cancelled, the next one in line computes.

        Args:
            key: Key from `key_of`.
            compute: Computes the result. What it raises is raised and not kept.
        """
        while True:
            if key in self._results:
                self._results.move_to_end(key)
                kept: T = self._results[key]
                return kept, True
            pending = self._pending.get(key)
            if pending is None:
                return await self._compute(key, compute), False
            # Shielded: one request that is cancelled must not cancel what the others wait for.
            succeeded, result = await asyncio.shield(pending)
            if succeeded:
                return result, True

    async def _compute(self, key: str, compute: Callable[[], Awaitable[T]]) -> T:
        pending = self._pending[key] = asyncio.get_running_loop().create_future()
        outcome: tuple[bool, T | None] = False, None
        try:
            result = await compute()
            outcome = True, result
            self._results[key] = result
            self._trim()
            return result
        finally:
            del self._pending[key]
            pending.set_result(outcome)

    def _trim(self) -> None:
        while len(self._results) > self._max_entries:
            self._results.popitem(last=False)


async def key_of(samples: Samples, *about: object) -> str:
    """Digest a recording, what is asked about it and which checkpoints answer: 64 hexadecimal digits."""
    data = np.ascontiguousarray(samples).view(np.uint8).data
    if len(data) > INLINE_BYTES:
        digest = await asyncio.to_thread(hashlib.sha256, data)
    else:
        digest = hashlib.sha256(data)
    digest.update(repr((samples.dtype.str, *about)).encode())
    return digest.hexdigest()
