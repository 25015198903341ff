"""Limit how often voices may be asked about in vain: nobody is to find a recording that passes by trying, nor
learn whom a gallery knows by asking about everybody.
"""

import time
from collections.abc import Callable, Hashable

from deployments.api.leaky_buckets import LeakyBuckets
from voxgraph.errors import RateLimited

MOST_IN_VAIN = 10
"""Claims of one speaker that may fail at once and within each further minute."""
WINDOW_S = 60.0


class TriedInVain(RateLimited):
    """Too much was in vain; `retry_after_s` is how long to wait."""

    def __init__(self, detail: str, retry_after_s: float) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class InVain:
    """Counts what was in vain, by some name; each ingress replica counts its own.

    It is a leaky bucket: `most` at once, and as many in each further minute, evenly.

    Args:
        most: How much may be in vain; 0: anything.
        what: What is limited, in the plural, for the message of an error.
        clock: Monotonic, in seconds.
    """

    def __init__(self, most: int, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._what = most, what
        self._buckets = LeakyBuckets(most / WINDOW_S, clock)

    def check(self, name: Hashable) -> None:
        """Raise `TriedInVain` if too much of this name was in vain lately."""
        excess = self._buckets.level(name) - (self._most - 1)
        if self._most and excess > 0:
            raise TriedInVain(
                f"{self._most} {self._what} were in vain within {WINDOW_S:g} s; wait a little.",
                excess * WINDOW_S / self._most,
            )

    def failed(self, name: Hashable) -> None:
        """Count one."""
        if self._most:
            self._buckets.add(name)
