"""Result cache of one ingress replica, with single-flight: identical questions in flight are computed once.

A cache shared by the whole cluster was measured beside it and answered no faster (``benchmarks/RESULTS.md``):
a call to another process costs as much as a short answer.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from deployments.state.sizes import estimated_bytes

T = TypeVar("T")


class ResultCache:
    """LRU cache of results for one event loop, with single-flight even if it keeps none.

    Args:
        max_entries: Number of results that are kept.
        max_bytes: Memory that they may take, by the estimate of `deployments.state.sizes`. A single result
            that takes more is not kept.
    """

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._max_entries, self._max_bytes = max_entries, max_bytes
        self._results: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        """Each result and the bytes that it takes."""
        self._bytes = 0
        self._pending: dict[str, asyncio.Future[Any]] = {}
        self._clearings = 0

    def __len__(self) -> int:
        return len(self._results)

    def resize(self, max_entries: int, max_bytes: int) -> None:
        """Change the number of results that are kept, and the memory that they may take."""
        self._max_entries, self._max_bytes = max_entries, max_bytes
        self._trim()

    def clear(self) -> None:
        """Forget every result, also those of computations in flight once they have answered who waits."""
        self._clearings += 1
        self._results.clear()
        self._bytes = 0

    async def get_or_compute(self, key: str, compute: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """Return the result of a `cache_key`, and whether it was cached or in flight for another request.

        If that other request fails or is cancelled, the next waiting one computes. Errors of `compute` are
        raised and not cached.
        """
        while True:
            if key in self._results:
                self._results.move_to_end(key)
                return self._results[key][0], True
            pending = self._pending.get(key)
            if pending is None:
                return await self._compute(key, compute), False
            # Without the shield, cancelling one request would cancel the future that the others await.
            succeeded, result = await asyncio.shield(pending)
            if succeeded:
                return result, True

    async def _compute(self, key: str, compute: Callable[[], Awaitable[T]]) -> T:
        pending = self._pending[key] = asyncio.get_running_loop().create_future()
        outcome: tuple[bool, T | None] = False, None
        clearings = self._clearings
        try:
            result = await compute()
            outcome = True, result
            if self._clearings == clearings:
                self._keep(key, result)
            return result
        finally:
            del self._pending[key]
            pending.set_result(outcome)

    def _keep(self, key: str, result: Any) -> None:
        if not self._max_entries:
            return
        taken = estimated_bytes(result)
        # A result that is dropped at once must not drop all others before.
        if taken <= self._max_bytes:
            self._results[key] = result, taken
            self._bytes += taken
            self._trim()

    def _trim(self) -> None:
        while len(self._results) > self._max_entries or self._bytes > self._max_bytes:
            _, (_, taken) = self._results.popitem(last=False)
            self._bytes -= taken


def cache_key(digest: bytes, *context: object) -> str:
    """Return the SHA-256 hex digest of a recording and `context`: question, options, checkpoint revisions.

    Args:
        digest: From `deployments.transport.clips.recording_digest`.
        context: What else the result depends on.
    """
    return hashlib.sha256(digest + repr(context).encode()).hexdigest()
