"""Limit how often a voice may be claimed in vain, so that nobody finds a recording that passes by trying."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable

from voxgraph.errors import RateLimited

MOST_IN_VAIN = 10
WINDOW_S = 60.0
"""Claims of one speaker that may fail within some seconds; each ingress replica counts its own."""
MOST_SPEAKERS = 10_000
"""Speakers that are counted; beyond it, the one whose claims are the oldest is forgotten."""

Claimed = tuple[str, str, str]
"""Tenant, gallery and external id."""


class Claims:
    """Counts claims that were not believed; `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._in_vain: OrderedDict[Claimed, deque[float]] = OrderedDict()

    def check(self, claimed: Claimed) -> None:
        """Raise `RateLimited` if too many claims of a speaker have failed lately."""
        times = self._in_vain.get(claimed, ())
        oldest = self._clock() - WINDOW_S
        if sum(at > oldest for at in times) >= MOST_IN_VAIN:
            raise RateLimited(
                f"{MOST_IN_VAIN} claims of this speaker failed within {WINDOW_S:g} s; wait a minute."
            )

    def failed(self, claimed: Claimed) -> None:
        """Count a claim that was not believed."""
        self._in_vain.setdefault(claimed, deque(maxlen=MOST_IN_VAIN)).append(self._clock())
        self._in_vain.move_to_end(claimed)
        while len(self._in_vain) > MOST_SPEAKERS:
            self._in_vain.popitem(last=False)
