"""Buckets that leak evenly, one for each name, by which requests are limited in time."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

MOST_COUNTED = 10_000
"""Names that are counted; beyond it, the one that was added to the longest ago is forgotten."""


class LeakyBuckets:
    """Knows how full the bucket of each name is; each ingress replica counts its own.

    Args:
        per_s: What leaks out of a bucket in a second.
        clock: Monotonic, in seconds.
    """

    def __init__(self, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._clock = per_s, clock
        self._levels: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()
        """How full the bucket of each name was, and when."""

    def __len__(self) -> int:
        """Return how many names are counted."""
        return len(self._levels)

    def level(self, name: Hashable) -> float:
        """Return how full a bucket is, 0 or more."""
        level, at = self._levels.get(name, (0.0, 0.0))
        return max(0.0, level - (self._clock() - at) * self._per_s)

    def add(self, name: Hashable) -> None:
        """Add one."""
        self._levels[name] = self.level(name) + 1, self._clock()
        self._levels.move_to_end(name)
        while len(self._levels) > MOST_COUNTED:
            self._levels.popitem(last=False)
